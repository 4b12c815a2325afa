//! A local stack for one pipeline: an HTTP producer, an SQS queue, and a Lambda function behind an
//! event source mapping, with complete traces.
//!
//! Everything but the two programs under test runs in this process: the function and the producer
//! are the real binaries, in their own processes. All parts communicate over loopback sockets, in
//! the protocols of AWS and OpenTelemetry.
//!
//! ```text
//!  POST /onboarding ──▶ producer ──▶ sqs ──▶ mapping ──▶ environment ──▶ function
//!                          │                                                │
//!                          └──────────────────▶ otlp ◀──────────────────────┘
//! ```
//!
//! # Example
//! ```no_run
//! use baton_local::stack::{StackConfig, Stack, StackError};
//!
//! # async fn example(config: StackConfig) -> Result<(), StackError> {
//! let stack = Stack::start(config).await?;
//! println!("send to {}", stack.endpoints().queue);
//! stack.spans().wait_until(|spans| spans.iter().any(|span| span.name == "process onboarding")).await;
//! stack.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//! | module | contents |
//! |---|---|
//! | [`cli`] | the command line of `baton` |
//! | [`demo`] | a dozen messages, their expected results, and a report |
//! | `load` | load, its measurements, and the check of the accepted messages |
//! | [`stack`] | all parts, started together and stopped so that no process is left |
//! | `replay` | spilled spans: found in logs and sent |
//! | [`sqs`] | the SQS endpoint |
//! | [`mapping`] | the event source mapping, which polls over the wire |
//! | [`environment`] | execution environments: cold starts, deadlines, freezing, kills |
//! | [`otlp`] | the OTLP receiver, which keeps spans in memory |
//! | `allowed_hosts` | the host names that the stack's own listeners accept |
//!
//! # Environment
//! `baton replay` reads `OTEL_EXPORTER_OTLP_*`, and `XDG_STATE_HOME` or `HOME` for its ledger.
//! `baton load` reads `BATON_LOAD_*` and `DEMO_MODE` for its options, `OTEL_EXPORTER_OTLP_*` with
//! `--spans`, `BATON_LOAD_TOKEN` with `--serve`, and the user's AWS configuration with
//! `--queue-url` if the queue is on AWS. All commands read `RUST_LOG` (a level or a list of
//! `target=level`; warnings and errors by default) for `baton`'s own log, and `NO_COLOR`,
//! `CLICOLOR`, `CLICOLOR_FORCE` and `TERM` for colours. Builds read `CARGO`, which cargo sets, to
//! use the selected toolchain. No other variable is read: in particular, the stack neither reads
//! the user's AWS configuration nor passes it on.

#![forbid(unsafe_code)]

pub use self::allowed_hosts::{AllowedHosts, HostName, InvalidHostName};

pub mod cli;
pub mod demo;
pub mod stack;

pub mod environment;
pub mod mapping;
pub mod otlp;
pub mod sqs;

mod allowed_hosts;
mod lines;
mod load;
mod process_group;
mod replay;
