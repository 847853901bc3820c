//! Masking: what is found, what is left alone, and that doing it twice changes nothing.

use proptest::prelude::*;

use super::*;

fn check(line: &str, expect: &str) {
    let mut bytes = line.as_bytes().to_vec();
    let found = mask_cards(&mut bytes);
    assert_eq!(std::str::from_utf8(&bytes).unwrap(), expect, "{line:?}");
    assert_eq!(found > 0, line != expect, "{line:?}");
}

#[test]
fn card_numbers_keep_six_and_four() {
    check("4111111111111111", "411111******1111");
    check("card=4111111111111111,", "card=411111******1111,");
    check("4111 1111 1111 1111", "4111 11** **** 1111");
    check("3782-822463-10005", "3782-82****-*0005");
    check("4222222222222", "422222***2222");
    check("6212345678901234569 x", "621234*********4569 x");
    check("1234 4111111111111111", "1234 411111******1111");
    check("code 00 4111111111111111", "code 00 411111******1111");
    check("00 123456789015", "00 1234****9015");
    check("卡号4111111111111111。", "卡号411111******1111。");
    check("4111111111111111 5500005555555559", "411111******1111 550000******5559");
    check("a4111111111111111b5500005555555559", "a411111******1111b550000******5559");
}

#[test]
fn other_numbers_stay() {
    for line in [
        "4111111111111112",
        "411111111111",
        "41111111111111111111",
        "00000000000000000000000",
        "4111  1111  1111  1111",
        "4111.1111.1111.1111",
        "2016-07-22 18:15:00.512",
        "1234567890123456789012345678901234567890",
        "4111||1111||1111||1111",
        "-----------------------",
        "",
    ] {
        check(line, line);
    }
}

#[test]
fn the_middle_is_counted_in_characters() {
    let check = |text: &str, expect: &str| {
        let mut bytes = text.as_bytes().to_vec();
        assert_eq!(mask_middle(&mut bytes), text != expect);
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), expect);
    };
    check("110101199003077777", "110101********7777");
    check("98XX543210", "98XX543210");
    check("98XX5543210", "98XX55*3210");
    check("张三123456789012", "张三1234****9012");
    check("1234567890", "1234567890");
    check("123", "123");
    check("", "");
}

fn with_check_digit(mut digits: Vec<u8>) -> Vec<u8> {
    digits.push(b'0');
    let places: Vec<usize> = (0..digits.len()).collect();
    let last = digits.len() - 1;
    while !passes_luhn(&digits, &places) {
        digits[last] += 1;
    }
    digits
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn no_card_number_survives(
        // No issuer's numbers begin with 0.
        first in b'1'..=b'9',
        digits in prop::collection::vec(b'0'..=b'9', 11..=17),
        separators in prop::collection::vec(prop::sample::select(&["", "", "", " ", "-"][..]), 19),
        before in "([a-z|:] ?|[0-9]{1,4}[ -])?",
        after in "( ?[a-z|:]|[ -][0-9]{1,4})?",
    ) {
        let card = with_check_digit([&[first], &digits[..]].concat());
        let mut text = before.clone();
        for (i, digit) in card.iter().enumerate() {
            text.push(char::from(*digit));
            if i + 1 < card.len() {
                text.push_str(separators[i]);
            }
        }
        text.push_str(&after);
        let mut bytes = text.clone().into_bytes();
        prop_assert!(mask_cards(&mut bytes) > 0, "{}", text);
        prop_assert_eq!(bytes.len(), text.len());
        // At most six and four digits of the card are left.
        let inside = &bytes[before.len()..bytes.len() - after.len()];
        prop_assert!(inside.iter().filter(|b| b.is_ascii_digit()).count() <= 10);
        for (old, new) in text.bytes().zip(&bytes) {
            prop_assert!(old == *new || *new == b'*' && old.is_ascii_digit());
        }
    }

    #[test]
    fn twice_is_once_and_nothing_is_left(line in "([0-9]{1,17}[ -]?|0{1,25}[ -]?|[a-z*]|  |4111111111111111 ?){0,12}") {
        let mut once = line.into_bytes();
        mask_cards(&mut once);
        let mut twice = once.clone();
        prop_assert_eq!(mask_cards(&mut twice), 0);
        prop_assert_eq!(&once, &twice);
        prop_assert_eq!(naive_cards(&once), 0);
    }

    #[test]
    fn found_as_the_plain_statement_finds(line in "([0-9]{1,20}[ -]?|[a-z]|  |4111 1111-1111 1111[- ]?){0,12}") {
        let mut bytes = line.clone().into_bytes();
        prop_assert_eq!(mask_cards(&mut bytes) > 0, naive_cards(line.as_bytes()) > 0);
    }
}

/// How many stretches of a line are card numbers: every stretch is tried.
fn naive_cards(line: &[u8]) -> usize {
    let digit = |i: usize| line.get(i).is_some_and(u8::is_ascii_digit);
    let mut found = 0;
    for start in (0..line.len()).filter(|&i| digit(i) && (i == 0 || !digit(i - 1))) {
        for end in (start + 1..=line.len()).filter(|&i| digit(i - 1) && !digit(i)) {
            let places: Vec<usize> = (start..end).filter(|&i| digit(i)).collect();
            let joined = (start..end).all(|i| digit(i) || b" -".contains(&line[i]) && digit(i + 1));
            found += usize::from(joined && (13..=19).contains(&places.len()) && passes_luhn(line, &places));
        }
    }
    found
}
