//! The engine on lines: what its parts cannot show alone. Refuses to know: the parts.

mod history;
mod lines;
mod streams;
mod volume;
