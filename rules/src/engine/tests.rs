//! The engine on lines: what its parts cannot show alone. Refuses to know: the parts.

mod lines;
mod streams;
