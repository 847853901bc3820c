//! The windows of `rules`, shared by many nodes through Redis.
//!
//! Nothing is here yet: one node counts in process. The crate holds the place of the dependency edge
//! `rules <- rules-redis`, so that the engine never learns about Redis.
