//! Integration tests of the sinks, one binary.

mod trace_store;
