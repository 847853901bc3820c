//! Integration tests of the sinks, one binary.

mod notify;
mod trace_store;
