//! End-to-end tests: the real binary between real senders, a real mail server and a real browser. One binary.

mod browser;
mod cli;
mod deliveries;
mod disk;
mod durability;
mod explain;
mod pages;
mod reload;
mod relp;
mod rsyslog;
mod rule_pages;
mod rule_tests;
mod schema;
mod senders;
mod spine;
mod stored;
mod support;
mod tidy;
mod tls;
