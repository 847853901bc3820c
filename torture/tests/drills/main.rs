//! The drills that run with every `make test`: few of each fault, and no violation.

mod disk;
mod ends;
mod journal;
mod links;
mod points;
mod receivers;
mod rsyslog;
mod twins;
