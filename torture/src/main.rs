//! The long run: `make soak SECONDS=`.
fn main() {}
