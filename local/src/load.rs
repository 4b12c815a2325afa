//! The load test: sends requests at a given rate or concurrency, measures the responses, and checks
//! that every accepted message was processed or dead-lettered.
//!
//! `schedule` determines the starts of requests, and `customers` their contents. `generator` sends
//! them on a separate thread, in an `open_loop` or a `closed_loop`, over the connections of
//! `target`. `measurements` counts the results, and `drift` compares the beginning of a soak with
//! its end. `message_counter` counts the messages in the queues and the customers in the `table`,
//! and `check` compares the counts with the accepted requests. `report` prints everything, and
//! `json` writes it. `api` starts runs over HTTP.

mod api;
mod check;
mod closed_loop;
mod customers;
mod drift;
mod generator;
mod json;
mod measurements;
mod message_counter;
mod open_loop;
mod own_stack;
mod queues;
mod random;
mod report;
mod request_error;
mod schedule;
mod spans;
#[cfg(feature = "dynamodb")]
mod table;
mod target;
mod tls;

pub(crate) use self::api::{ApiConfig, InvalidToken, Token, serve};
pub(crate) use self::check::{AcceptedMessages, CheckOutcome, MessageCounts};
pub(crate) use self::customers::Shares;
pub(crate) use self::generator::{Generator, GeneratorConfig, GeneratorProgress, Pace};
pub(crate) use self::measurements::{Interval, interval_length};
pub(crate) use self::message_counter::MessageCounter;
pub(crate) use self::own_stack::own_stack_config;
pub(crate) use self::report::LoadReport;
pub(crate) use self::schedule::{Profile, Schedule};
pub(crate) use self::spans::{SpanCounts, SpanExport};
#[cfg(feature = "dynamodb")]
pub(crate) use self::table::CustomerTable;
pub(crate) use self::target::{TargetUrl, parse_header};
pub(crate) use self::tls::Authorities;
