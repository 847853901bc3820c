//! What every notifier must keep: failures told apart rightly, no secret said, one id on every attempt.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use sinks::notifier::{Notifier, Notify as _};
use sinks::outbox::{FailReason, Outcome};

use super::hook::{Hook, Reply};
use super::smtp::{Kind, PLAIN, PROVIDER, Server};
use super::{AMPLE_MS, START_MS, Scratch, attempt, fired, receivers, resolved, soon};

/// Every secret of these tests contains this.
const SECRET: &str = "s3cret";
const TOKEN: &str = "t0ken-s3cret";

pub(super) fn notifier(yaml: &str) -> Notifier {
    receivers(yaml).into_iter().next().expect("one").notifier
}

pub(super) fn webhook(scratch: &Scratch, url: &str, timeout_ms: u64) -> String {
    let token = scratch.secret("token", TOKEN);
    format!(
        "[{{name: duty, webhook_configs: [{{url: '{url}', timeout_ms: {timeout_ms}, \
         http_config: {{authorization: {{credentials_file: {}}}}}}}]}}]",
        token.display()
    )
}

/// A receiver with one mail configuration for a server that is (or is believed to be) of a kind.
pub(super) fn mail(scratch: &Scratch, port: u16, kind: Kind, rest: &str) -> String {
    let tls = match kind.tls {
        "none" => "tls: none".to_owned(),
        tls => format!("tls: {tls}, tls_config: {{ca_file: {}}}", scratch.path("cert.pem").display()),
    };
    let login = kind.password.map_or_else(String::new, |password| {
        let file = scratch.secret("password", password);
        format!(", auth_username: watchroom, auth_password_file: {}", file.display())
    });
    format!(
        "[{{name: duty, email_configs: [{{to: 'duty@pay.example', from: 'w@pay.example', \
         smarthost: '127.0.0.1:{port}', {tls}{login}, hello: test.example{rest}}}]}}]"
    )
}

fn check(name: &str, outcome: &Outcome, word: &str, reason: Option<FailReason>) {
    assert_eq!((outcome.word(), outcome.reason()), (word, reason), "{name}: {outcome:?}");
    let detail = outcome.detail();
    assert!(!detail.contains(SECRET) && !detail.contains("czNjcmV0"), "{name}: a secret in {detail:?}");
    assert!(detail.len() <= 700 && !detail.chars().any(char::is_control), "{name}: {detail:?}");
    assert!(!detail.is_empty(), "{name}: no words");
}

#[tokio::test]
async fn webhook_failures_are_told_apart() {
    let scratch = Scratch::new();
    let table = [
        (Reply::Status(200, "", "ok"), "sent", None),
        (Reply::Status(204, "", ""), "sent", None),
        (Reply::Status(302, "location: http://127.0.0.1:1/\r\n", ""), "dead", Some(FailReason::ClientError)),
        (Reply::Status(400, "", "no\r\n\u{1b}[31m"), "dead", Some(FailReason::ClientError)),
        (Reply::Status(401, "", TOKEN), "dead", Some(FailReason::AuthError)),
        (Reply::Status(403, "", ""), "dead", Some(FailReason::AuthError)),
        (Reply::Status(404, "", ""), "dead", Some(FailReason::ClientError)),
        (Reply::Echo, "dead", Some(FailReason::ClientError)),
        (Reply::Status(429, "retry-after: 7\r\n", ""), "retry", Some(FailReason::RateLimited)),
        (Reply::Status(408, "", ""), "retry", Some(FailReason::ServerError)),
        (Reply::Status(500, "", ""), "retry", Some(FailReason::ServerError)),
        (
            Reply::Status(429, "retry-after: Fri, 22 Jul 2016 10:15:38 GMT\r\n", ""),
            "retry",
            Some(FailReason::RateLimited),
        ),
        (Reply::Status(503, "retry-after: never\r\n", ""), "retry", Some(FailReason::ServerError)),
        (Reply::Endless, "retry", Some(FailReason::ServerError)),
        (Reply::Hang, "uncertain", Some(FailReason::ContextDeadlineExceeded)),
        (Reply::Cut, "uncertain", Some(FailReason::Other)),
    ];
    for (reply, word, reason) in table {
        let mut hook = Hook::start(std::slice::from_ref(&reply)).await;
        let timeout_ms = if matches!(reply, Reply::Hang) { 400 } else { AMPLE_MS };
        let notifier = notifier(&webhook(&scratch, &hook.url, timeout_ms));
        let outcome = soon(notifier.send(&attempt(&fired("a")), START_MS)).await;
        check(&format!("{reply:?}"), &outcome, word, reason);
        if let Outcome::Retry { after_ms, reason: FailReason::RateLimited, .. } = outcome {
            // The date is 6,996 ms after START_MS.
            assert!(after_ms == Some(7_000) || after_ms == Some(6_996), "{after_ms:?}");
        }
        hook.request().await;
        assert!(hook.seen().is_none(), "{reply:?}: one attempt is one request");
    }
}

#[tokio::test]
async fn a_webhook_that_is_not_there_is_tried_again() {
    let scratch = Scratch::new();
    let gone = Hook::start(&[Reply::Hang]).await.url;
    for (url, name) in [(gone.as_str(), "refused"), ("http://no-such-host.invalid/s3cret", "no such host")] {
        let outcome =
            soon(notifier(&webhook(&scratch, url, AMPLE_MS)).send(&attempt(&fired("a")), START_MS)).await;
        check(name, &outcome, "retry", outcome.reason());
    }
    let vanished = notifier(&webhook(&scratch, &gone, AMPLE_MS));
    std::fs::remove_file(scratch.path("token")).expect("was there");
    let outcome = soon(vanished.send(&attempt(&fired("a")), START_MS)).await;
    check("no token", &outcome, "retry", Some(FailReason::AuthError));
}

#[tokio::test]
async fn mail_failures_are_told_apart() {
    let auth = Some(FailReason::AuthError);
    let (client, server) = (Some(FailReason::ClientError), Some(FailReason::ServerError));
    let kind = |tls, password, after_dot| Kind { tls, password, after_dot };
    let wrong = Some("wrong-s3cret");
    // The server, what the client believes, more of its configuration, the outcome.
    let table = [
        (PROVIDER, PROVIDER, "", "sent", None),
        (PROVIDER, kind("starttls", wrong, ""), "", "retry", auth),
        (kind("starttls", PROVIDER.password, "echo"), PROVIDER, "", "dead", client),
        (PLAIN, kind("starttls", None, ""), "", "retry", Some(FailReason::Other)),
        (PLAIN, kind("implicit", None, ""), "", "retry", Some(FailReason::Other)),
        (PROVIDER, PLAIN, "", "retry", auth),
        (kind("none", None, "550"), PLAIN, "", "dead", client),
        (kind("none", None, "451"), PLAIN, "", "retry", server),
        (kind("none", None, "hang"), PLAIN, ", accept_timeout_ms: 300", "uncertain", DEADLINE),
        (kind("none", None, "cut_once"), PLAIN, "", "uncertain", Some(FailReason::Other)),
    ];
    for (real, believed, rest, word, reason) in table {
        let name = format!("{real:?}, believed {believed:?} {rest}");
        let scratch = Scratch::new();
        let smtp = Server::start(&scratch, real);
        let notifier = notifier(&mail(&scratch, smtp.port, believed, rest));
        let outcome = soon(notifier.send(&attempt(&fired("a")), START_MS)).await;
        check(&name, &outcome, word, reason);
        if word == "sent" || word == "uncertain" || !["accept", ""].contains(&real.after_dot) {
            smtp.mail().await;
        }
        assert_eq!(smtp.stop().len(), 0, "{name}");
    }
}

const DEADLINE: Option<FailReason> = Some(FailReason::ContextDeadlineExceeded);

#[tokio::test]
async fn a_mail_server_that_says_nothing_or_is_not_there_is_tried_again() {
    let scratch = Scratch::new();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = silent.local_addr().expect("is bound").port();
    let hung = notifier(&mail(&scratch, port, PLAIN, ", timeout_ms: 200"));
    let outcome = soon(hung.send(&attempt(&fired("a")), START_MS)).await;
    check("silent", &outcome, "retry", DEADLINE);
    drop(silent);
    let outcome = soon(hung.send(&attempt(&fired("a")), START_MS)).await;
    check("refused", &outcome, "retry", Some(FailReason::Other));
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_gets_nothing() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    for tls in ["starttls", "implicit"] {
        let smtp = Server::start(&scratch, Kind { tls, ..PROVIDER });
        let stranger = Server::start(&other, PROVIDER);
        assert_ne!(smtp.certificate, stranger.certificate);
        let yaml = mail(&other, smtp.port, Kind { tls, ..PROVIDER }, "");
        let outcome = soon(notifier(&yaml).send(&attempt(&fired("a")), START_MS)).await;
        check(tls, &outcome, "retry", Some(FailReason::Other));
        assert!(outcome.detail().contains("certificate"), "{outcome:?}");
        assert!(smtp.stop().is_empty());
    }
}

/// Sends firing and resolved three times each and answers the ids the receiver saw.
async fn ids<S: AsyncFnMut() -> String>(notifier: &Notifier, mut seen: S) -> [BTreeSet<String>; 2] {
    let mut ids = [BTreeSet::new(), BTreeSet::new()];
    for number in 1..=3 {
        for (transition, ids) in [fired("a"), resolved("a")].iter().zip(&mut ids) {
            let mut attempt = attempt(transition);
            (attempt.number, attempt.possible_repeat) = (number, number > 1);
            let outcome = soon(notifier.send(&attempt, START_MS + i64::from(number))).await;
            assert_eq!(outcome.word(), "sent", "{outcome:?}");
            ids.insert(seen().await);
        }
    }
    ids
}

fn check_ids([firing, resolved]: &[BTreeSet<String>; 2]) {
    assert_eq!((firing.len(), resolved.len()), (1, 1), "{firing:?} {resolved:?}");
    assert!(firing.is_disjoint(resolved), "{firing:?}");
}

#[tokio::test]
async fn the_id_is_the_same_on_every_attempt() {
    let scratch = Scratch::new();
    let mut hook = Hook::start(&[Reply::Status(200, "", "")]).await;
    let webhook = notifier(&webhook(&scratch, &hook.url, AMPLE_MS));
    let seen = async || {
        let request = hook.request().await;
        format!("{:?} {}", request.header("idempotency-key").expect("an id"), request.body)
    };
    check_ids(&ids(&webhook, seen).await);

    let smtp = Server::start(&scratch, PLAIN);
    let mailer = notifier(&mail(&scratch, smtp.port, PLAIN, ""));
    check_ids(&ids(&mailer, async || smtp.mail().await.header("message-id").to_owned()).await);

    let folder = scratch.path("mailbox");
    let yaml = format!(
        "[{{name: duty, email_configs: [{{to: 'a@b.example', from: 'w@b.example', directory: {}}}]}}]",
        folder.display()
    );
    let newest = async || files(&folder).pop().expect("a mail");
    let ids = ids(&notifier(&yaml), newest).await;
    assert_eq!(files(&folder).len(), 2, "a repeat replaces its file: {ids:?}");
}

/// Names in a folder, sorted.
pub(super) fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|e| e.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_endless_answer_costs_no_time() {
    let scratch = Scratch::new();
    let hook = Hook::start(&[Reply::Endless]).await;
    let notifier = notifier(&webhook(&scratch, &hook.url, AMPLE_MS));
    let attempt = attempt(&fired("a"));
    let sending = notifier.send(&attempt, START_MS);
    let before_its_timeout = Duration::from_millis(AMPLE_MS - 10_000);
    let outcome = tokio::time::timeout(before_its_timeout, sending).await.expect("reads only the beginning");
    assert!(outcome.detail().len() < 400, "{outcome:?}");
}
