//! The drills that run with every `make test`: few of each fault, and no violation.

mod ends;
mod links;
mod load;
mod points;
