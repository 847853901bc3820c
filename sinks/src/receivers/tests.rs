//! Receivers as people write them, and what is refused with which words.

use expect_test::{Expect, expect};

use super::*;
use crate::outbox::tests::Scratch;

fn read(yaml: &str) -> Result<Vec<Receiver>, String> {
    let receivers: Vec<Receiver> = serde_saphyr::from_str(yaml).map_err(|e| e.to_string())?;
    super::check(&receivers).map_err(|e| e.to_string())?;
    Ok(receivers)
}

fn refused(yaml: &str, words: &Expect) {
    let error = read(yaml).expect_err("refused");
    words.assert_eq(error.lines().next().unwrap_or_default());
}

#[test]
fn a_full_configuration_loads() {
    let scratch = Scratch::new();
    let secret = scratch.path("secret");
    std::fs::write(&secret, "hunter2\n").expect("writes");
    let secret = secret.display();
    let receivers = read(&format!(
        r#"
- name: duty
  email_configs:
    - to: duty@pay.example, Night Shift <night@pay.example>
      from: Watchroom <watchroom@pay.example>
      smarthost: "mail.pay.example:587"
      auth_username: watchroom
      auth_password_file: {secret}
    - {{ to: a@b.example, from: w@b.example, directory: /var/spool/watchroom, send_resolved: false }}
  webhook_configs:
    - url: https://hooks.pay.example/T0/B1
      max_alerts: 10
      timeout_ms: 3000
      http_config: {{ authorization: {{ credentials_file: {secret} }} }}
  log_configs: [{{}}]
"#
    ))
    .expect("loads");
    let mails = &receivers[0].email_configs;
    assert_eq!(mails[0].tls(), MailTls::Starttls);
    assert_eq!(mails[0].recipients().expect("valid").iter().count(), 2);
    assert!(mails[0].send_resolved && !mails[1].send_resolved && receivers[0].log_configs[0].send_resolved);
    assert_eq!((mails[0].timeout_ms, mails[0].accept_timeout_ms), (30_000, 600_000));
    assert!(!format!("{receivers:?}").contains("hooks.pay"), "the URL is a secret");
}

#[test]
fn tls_follows_the_port_unless_it_is_said() {
    let tls = |rest: &str| {
        let yaml = format!("[{{name: a, email_configs: [{{to: a@b.c, from: d@b.c, {rest}}}]}}]");
        read(&yaml).map(|r| r[0].email_configs[0].tls())
    };
    assert_eq!(tls("smarthost: 'm:25'"), Ok(MailTls::Starttls));
    assert_eq!(tls("smarthost: 'm:465'"), Ok(MailTls::Implicit));
    assert_eq!(tls("smarthost: '[::1]:25', require_tls: false"), Ok(MailTls::None));
    assert_eq!(tls("smarthost: 'm:2525', tls: implicit"), Ok(MailTls::Implicit));
    assert!(tls("smarthost: 'm:25', tls: none, require_tls: true").is_err());
}

#[test]
fn mistakes_are_named_with_their_place() {
    refused(
        "[{name: a}, {name: a}]",
        &expect![[r#"receiver "a": name: is used twice; receiver names are unique"#]],
    );
    refused(
        "[{name: a, email_configs: [{to: nobody, from: d@b.c, smarthost: 'm:25'}]}]",
        &expect![[
            r#"receiver "a": email_configs[0].to: "nobody" is not a list of mail addresses separated by commas"#
        ]],
    );
    refused(
        "[{name: a, email_configs: [{to: a@b.c, from: d@b.c}]}]",
        &expect![[r#"receiver "a": email_configs[0].smarthost: is missing; give smarthost or directory"#]],
    );
    refused(
        "[{name: a, email_configs: [{to: a@b.c, from: d@b.c, smarthost: 'm:25', require_tls: false, auth_username: u, auth_password_file: /etc/hostname}]}]",
        &expect![[
            r#"receiver "a": email_configs[0].auth_username: would go over the wire in clear text; use TLS"#
        ]],
    );
    refused(
        "[{name: a, webhook_configs: [{url: 'ftp://x/y'}]}]",
        &expect![[r#"receiver "a": webhook_configs[0].url: is not an http or https URL"#]],
    );
    refused(
        "[{name: a, webhook_configs: [{url: 'https://u:hunter2@x/y'}]}]",
        &expect![[
            r#"receiver "a": webhook_configs[0].url: carries a user name or password; use http_config.basic_auth"#
        ]],
    );
    refused(
        "[{name: a, webhook_configs: [{}]}]",
        &expect![[r#"receiver "a": webhook_configs[0].url: give exactly one of url and url_file"#]],
    );
    refused(
        "[{name: a, webhook_configs: [{url: 'http://x/', http_config: {authorization: {credentials_file: /nowhere}}}]}]",
        &expect![[
            r#"receiver "a": webhook_configs[0].http_config: secret file /nowhere: No such file or directory (os error 2)"#
        ]],
    );
}

#[test]
fn unknown_keys_and_bad_hosts_are_refused() {
    for yaml in [
        "[{name: a, emial_configs: []}]",
        "[{name: a, email_configs: [{to: a@b.c, from: a@b.c, smarthost: 'm:25', auth_password: hunter2}]}]",
        "[{name: a, email_configs: [{to: a@b.c, from: a@b.c, smarthost: 'm'}]}]",
        "[{name: a, email_configs: [{to: '', from: a@b.c, smarthost: 'm:25'}]}]",
        "[{name: a, email_configs: [{to: a@b.c, from: \"a@b.c\\r\\nBcc: x@y.z\", smarthost: 'm:25'}]}]",
        "[{name: ''}]",
        "[{name: a, webhook_configs: [{url: 'http://x/', timeout_ms: 0}]}]",
        "[{name: a, email_configs: [{to: a@b.c, from: a@b.c, smarthost: 'm:25', accept_timeout_ms: 0}]}]",
    ] {
        assert!(read(yaml).is_err(), "{yaml}");
    }
}

#[test]
fn a_secret_is_one_line_and_shown_nowhere() {
    let scratch = Scratch::new();
    let path = scratch.path("secret");
    for (content, ok) in
        [("hunter2", true), ("hunter2\r\n", true), ("", false), ("\n", false), ("a\nhunter2\n", false)]
    {
        std::fs::write(&path, content).expect("writes");
        match read_secret(&path) {
            Ok(secret) => assert!(ok && secret.expose() == "hunter2" && format!("{secret:?}") == "<secret>"),
            Err(error) => assert!(!ok && !error.to_string().contains("hunter2"), "{error}"),
        }
    }
}
