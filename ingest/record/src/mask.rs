//! Card numbers are masked before anything is written.
//!
//! Masking is in place and keeps the length, so offsets into the line stay valid.
//! Refuses to know: which column is which; the caller leaves out what is never searched.

/// Fewest digits of a card number.
const CARD_DIGITS_MIN: usize = 13;
/// Most digits of a card number.
const CARD_DIGITS_MAX: usize = 19;
/// Digits that stay at the front (the issuer) and at the end.
const SHOWN_FRONT: usize = 6;
const SHOWN_END: usize = 4;

/// Masks card numbers in place: 13 to 19 digits (single spaces or dashes between), Luhn; first six and last four stay.
/// Returns how many were masked.
///
/// Digits joined by separators are tried as every sequence of neighbouring groups (`1234 4111111111111111` holds a
/// card number); more than 19 digits in one group are none. Where two readings overlap, a digit stays only if it does
/// in both. Masking what was masked changes nothing.
pub fn mask_cards(line: &mut [u8]) -> usize {
    let mut masked = 0;
    let mut from = 0;
    // No card number is shorter than 13 bytes: the last byte of the next 13 that can be in none is where to go on. In
    // most text that is the thirteenth itself.
    while let Some(window) = line.get(from..from + CARD_DIGITS_MIN) {
        if let Some(none) = window.iter().rposition(|b| !is_card_byte(*b)) {
            from += none + 1;
            continue;
        }
        let Some(first) = window.iter().position(u8::is_ascii_digit) else {
            from += CARD_DIGITS_MIN;
            continue;
        };
        let start = from + first;
        let end = run_end(line, start);
        if end - start >= CARD_DIGITS_MIN {
            // What is left of a masked run may, read by itself, be one again.
            loop {
                let found = mask_run(&mut line[start..end]);
                masked += found;
                if found == 0 {
                    break;
                }
            }
        }
        from = end + 1;
    }
    masked
}

fn is_card_byte(b: u8) -> bool {
    b.is_ascii_digit() || b == b' ' || b == b'-'
}

/// End of the digits that begin at `start`, single separators between them included.
fn run_end(line: &[u8], start: usize) -> usize {
    let mut end = start + 1;
    loop {
        match line[end..] {
            [b'0'..=b'9', ..] => end += 1,
            [b' ' | b'-', b'0'..=b'9', ..] => end += 2,
            _ => return end,
        }
    }
}

/// Masks every reading of a run (digits, single separators, stars of an earlier pass); how many readings there were.
fn mask_run(run: &mut [u8]) -> usize {
    let mut hide: Vec<usize> = Vec::new();
    let mut found = 0;
    for start in 0..run.len() {
        let begins_group = run[start].is_ascii_digit() && (start == 0 || !run[start - 1].is_ascii_digit());
        if begins_group {
            found += readings_from(run, start, &mut hide);
        }
    }
    for at in hide {
        run[at] = b'*';
    }
    found
}

/// Card numbers that begin at `start` and end where a group of digits ends; the digits to hide are added to `hide`.
fn readings_from(run: &[u8], start: usize, hide: &mut Vec<usize>) -> usize {
    // A first group of zeros changes no check digit: the same number without it is a reading, too, and the better one.
    let zeros = match run[start..].iter().position(|b| *b != b'0') {
        Some(zeros) if !run[start + zeros].is_ascii_digit() => zeros,
        _ => 0,
    };
    let mut places = [0_usize; CARD_DIGITS_MAX];
    let mut digits = 0;
    let mut found = 0;
    let mut at = start;
    loop {
        match run[at..] {
            [b'0'..=b'9', ..] if digits < CARD_DIGITS_MAX => {
                places[digits] = at;
                digits += 1;
            }
            [b' ' | b'-', b'0'..=b'9', ..] => {}
            _ => return found,
        }
        at += 1;
        let group_ends = !run.get(at).is_some_and(u8::is_ascii_digit) && run[at - 1].is_ascii_digit();
        let long_enough =
            digits >= CARD_DIGITS_MIN && (zeros == 0 || digits.saturating_sub(zeros) < CARD_DIGITS_MIN);
        let places = &places[..digits];
        if group_ends && long_enough && passes_luhn(run, places) {
            found += 1;
            hide.extend_from_slice(&places[SHOWN_FRONT..digits - SHOWN_END]);
        }
    }
}

/// The check digit of ISO/IEC 7812-1, annex B.
fn passes_luhn(run: &[u8], places: &[usize]) -> bool {
    let sum: u32 = places
        .iter()
        .rev()
        .enumerate()
        .map(|(from_end, &at)| {
            let digit = u32::from(run[at] - b'0');
            if from_end.is_multiple_of(2) { digit } else { digit * 2 % 10 + digit / 5 }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Turns the digits between the first six and the last four characters into `*`. Whether there were any.
pub(crate) fn mask_middle(text: &mut [u8]) -> bool {
    // In UTF-8 every byte but those of the form 0b10xx_xxxx begins a character.
    let begins = |b: &u8| *b & 0xC0 != 0x80;
    let nth = |mut n: usize, bytes: &mut dyn Iterator<Item = usize>| loop {
        let at = bytes.next()?;
        if n == 0 {
            return Some(at);
        }
        n -= 1;
    };
    let front = nth(SHOWN_FRONT, &mut (0..text.len()).filter(|&i| begins(&text[i])));
    let end = nth(SHOWN_END - 1, &mut (0..text.len()).rev().filter(|&i| begins(&text[i])));
    let (Some(front), Some(end)) = (front, end) else { return false };
    let mut changed = false;
    for b in text.get_mut(front..end).unwrap_or_default() {
        if b.is_ascii_digit() {
            *b = b'*';
            changed = true;
        }
    }
    changed
}

/// Turns everything into `*`, one a byte. Whether there was anything.
pub(crate) fn mask_all(text: &mut [u8]) -> bool {
    text.fill(b'*');
    !text.is_empty()
}

#[cfg(test)]
mod tests;
