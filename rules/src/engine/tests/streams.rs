//! Random streams against a naive reading of the rules.
