//! The demonstration: real requests through the whole pipeline, what became of each, and whether
//! that is exactly what must become of it.
//!
//! `scenario` says what is sent and what must come of it; `run` sends it, waits, and gathers what
//! can be seen from outside; `message_trace` and `tree` find each message's way in the spans that
//! arrived; `checks` compares; `report` prints.

mod checks;
mod dead_letters;
mod error;
mod keys;
mod message_trace;
mod report;
mod requests;
mod run;
#[cfg(test)]
mod samples;
mod scenario;
mod span_counts;
mod text;
mod tree;

pub use self::error::DemoError;
pub use self::report::DemoReport;
pub use self::run::{Demo, DemoProgress};
pub use self::text::Width;
