//! The demo: sends real requests through the whole pipeline, and checks that every message has
//! the expected result and that every span arrives.
//!
//! `scenario` defines the messages and the expected counts. `run` sends them, waits, and collects
//! the observations; `message_trace` and `tree` find each message in the spans that arrived;
//! `checks` compares them with the expected counts, and `report` prints the result.

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
pub(crate) use self::text::{duration as format_duration, pluralise};
