//! Mails as a real mail server and an independent MIME library read them.

use std::sync::Arc;

use rules::{Alert, Change, Transition};
use sinks::notifier::Notify as _;
use sinks::outbox::Attempt;

use super::conformance::{files, mail, notifier};
use super::smtp::{Kind, Mail, PLAIN, PROVIDER, Server};
use super::{START_MS, Scratch, alert, attempt, fired, map, resolved, soon};

async fn sent(kind: Kind, rest: &str, attempt: &Attempt) -> Mail {
    let scratch = Scratch::new();
    let smtp = Server::start(&scratch, kind);
    let outcome = soon(notifier(&mail(&scratch, smtp.port, kind, rest)).send(attempt, START_MS)).await;
    assert_eq!(outcome.word(), "sent", "{outcome:?}");
    let mail = smtp.mail().await;
    assert!(smtp.stop().is_empty(), "one attempt is one mail");
    mail
}

#[tokio::test]
async fn a_firing_alert_over_starttls_with_a_password() {
    let first = attempt(&fired("5f3a"));
    let mail = sent(PROVIDER, "", &first).await;
    assert!(mail.tls && mail.authenticated);
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("w@pay.example", &["duty@pay.example".to_owned()][..])
    );
    assert_eq!(mail.defects, [""; 0], "the MIME library's complaints");
    let subject = "[FIRING] ChannelNetworkDown GHT: 12 network errors in a row \u{7f51}\u{7edc}";
    assert_eq!(mail.header("subject"), subject);
    assert_eq!(mail.header("message-id"), format!("<{}@pay.example>", first.delivery_id));
    assert_eq!(mail.header("auto-submitted"), "auto-generated");
    assert_eq!(mail.header("date"), "Fri, 22 Jul 2016 10:15:31 +0000");
    assert!(!mail.has("in-reply-to"));
    for body in [&mail.text, &mail.html] {
        for said in [
            "12 in a row of at least 12 within 1m",
            "12345.60",
            "P001, P002 and 10 more",
            "2016-07-22 18:15:31.004 +08:00",
            "https://watchroom.example/alerts/5f3a",
        ] {
            assert!(body.contains(said), "no {said:?} in {body}");
        }
    }
    assert!(
        mail.text.contains("T1||GHT||<b>timeout</b>") && mail.html.contains("&lt;b&gt;timeout&lt;/b&gt;")
    );
}

#[tokio::test]
async fn a_resolved_alert_over_implicit_tls_answers_the_firing_mail() {
    let kind = Kind { tls: "implicit", ..PROVIDER };
    let mail = sent(kind, "", &attempt(&resolved("5f3a"))).await;
    assert!(mail.tls && mail.authenticated);
    let firing = format!("<{}@pay.example>", attempt(&fired("5f3a")).delivery_id);
    assert_eq!((mail.header("in-reply-to"), mail.header("references")), (firing.as_str(), firing.as_str()));
    assert!(mail.header("subject").starts_with("[RESOLVED] ") && mail.header("message-id") != firing);
}

#[tokio::test]
async fn a_possible_repeat_says_so() {
    let again = Attempt { number: 2, possible_repeat: true, ..attempt(&fired("5f3a")) };
    let mail = sent(PLAIN, "", &again).await;
    assert!(mail.header("subject").ends_with(" (possible repeat)"));
    assert!(
        mail.text.contains("Possible repeat: an earlier attempt") && mail.html.contains("Possible repeat")
    );
}

#[tokio::test]
async fn fields_of_an_order_cannot_write_headers_or_further_mails() {
    for evil in [
        "x\r\nBcc: thief@example.com",
        "x\nSubject: free money\n\n<html>",
        "x\r\n.\r\nMAIL FROM:<thief@example.com>\r\n",
        "=?utf-8?B?DQpCY2M6IHRoaWVmQGV4YW1wbGUuY29t?=",
        "x\0\u{85}\u{2028}Bcc: thief@example.com",
        "\u{7f51}\r\n Bcc: thief@example.com",
    ] {
        let labels = map(&[("alertname", evil), ("order", evil)]);
        let annotations = map(&[("summary", evil)]);
        let evil_alert = Alert { labels, annotations, ..alert("5f3a") };
        let mut attempt = attempt(&Transition { alert: Arc::new(evil_alert), ..fired("5f3a") });
        attempt.notification.samples[0].line = format!("{evil}\r\n.\r\n");
        let mail = sent(PLAIN, "", &attempt).await;
        let names: Vec<_> = mail.headers.iter().map(|(n, _)| n.as_str()).collect();
        assert!(!mail.has("bcc"), "{evil:?}: {names:?}");
        for once in ["subject", "from", "to", "date", "message-id", "mime-version", "content-type"] {
            mail.header(once);
        }
        assert_eq!(names.len(), 9, "{evil:?}: {names:?}");
        assert_eq!(mail.to, ["duty@pay.example"]);
        assert!(
            mail.text.contains("https://watchroom.example/alerts/5f3a"),
            "{evil:?} ends the body: {}",
            mail.text
        );
    }
}

#[tokio::test]
async fn one_refused_address_does_not_silence_the_others() {
    let scratch = Scratch::new();
    let smtp = Server::start(&scratch, PLAIN);
    let to = |to: &str| mail(&scratch, smtp.port, PLAIN, "").replace("duty@pay.example", to);
    let first = attempt(&fired("a"));
    let third = Attempt { number: 3, ..first.clone() };
    let mixed = notifier(&to("a@pay.example, nobody@pay.example"));
    let outcome = soon(mixed.send(&first, START_MS)).await;
    assert_eq!(outcome.word(), "sent", "{outcome:?}");
    assert!(outcome.detail().contains("refused for nobody@pay.example"), "{outcome:?}");
    assert_eq!(smtp.mail().await.to, ["a@pay.example"]);

    let put_off = notifier(&to("later@pay.example, b@pay.example"));
    assert_eq!(soon(put_off.send(&first, START_MS)).await.word(), "retry");
    assert_eq!(soon(put_off.send(&third, START_MS)).await.word(), "sent");
    assert_eq!(smtp.mail().await.to, ["b@pay.example"]);

    let none = notifier(&to("nobody@pay.example, later@pay.example"));
    assert_eq!(soon(none.send(&third, START_MS)).await.word(), "retry", "one may be there later");
    assert_eq!(soon(notifier(&to("nobody@pay.example")).send(&first, START_MS)).await.word(), "dead");
    assert!(smtp.stop().is_empty());
}

#[tokio::test]
async fn a_mailbox_folder_holds_whole_mails() {
    let scratch = Scratch::new();
    let folder = scratch.path("deep/mailbox");
    let yaml = format!(
        "[{{name: duty, email_configs: [{{to: 'a@b.example', from: 'w@b.example', directory: {}}}]}}]",
        folder.display()
    );
    let first = attempt(&fired("5f3a"));
    let outcome = soon(notifier(&yaml).send(&first, START_MS)).await;
    assert_eq!(outcome.word(), "sent", "{outcome:?}");
    assert_eq!(files(&folder), [format!("{}@b.example.eml", first.delivery_id)]);
    let mail = std::fs::read_to_string(folder.join(&files(&folder)[0])).expect("UTF-8");
    assert!(mail.contains("\r\nTo: a@b.example\r\n") && mail.contains("multipart/alternative"), "{mail}");

    std::fs::remove_dir_all(&folder).expect("was there");
    std::fs::write(&folder, "in the way").expect("writes");
    assert_eq!(soon(notifier(&yaml).send(&first, START_MS)).await.word(), "retry");
}

#[test]
fn withdrawn_is_told_as_resolved() {
    let over = Alert { withdrawn: true, ended_ms: Some(START_MS + 5), ..alert("a") };
    let news =
        attempt(&Transition { change: Change::Withdrawn, alert: Arc::new(over), ..fired("a") }).notification;
    assert_eq!((news.status.as_str(), news.word()), ("resolved", "WITHDRAWN"));
}
