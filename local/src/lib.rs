//! AWS on a laptop for one pipeline: an HTTP producer, an SQS queue, and a Lambda function behind
//! an event source mapping, with every trace kept whole and looked at.
//!
//! Everything runs in this process but the two things under test: the function and the producer are
//! the real binaries, in processes of their own. They meet on sockets only, all of them on
//! loopback, in the protocols that AWS and OpenTelemetry speak.
//!
//! ```text
//!  POST /onboarding ──▶ producer ──▶ sqs ──▶ mapping ──▶ environment ──▶ function
//!                          │                                                │
//!                          └──────────────────▶ otlp ◀──────────────────────┘
//! ```
//!
//! # Example
//! ```no_run
//! # async fn example(config: baton_local::stack::Config) -> Result<(), baton_local::stack::StackError> {
//! let stack = baton_local::stack::Stack::start(config).await?;
//! println!("send to {}", stack.endpoints().queue);
//! stack.spans().wait_until(|spans| spans.iter().any(|span| span.name == "process onboarding")).await;
//! stack.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//! | module | what is in it |
//! |---|---|
//! | [`cli`] | the command line of `baton` |
//! | [`demo`] | a dozen messages, what must come of them, and what did |
//! | [`stack`] | everything started together, and stopped so that no process is left |
//! | `replay` | spilled spans, found in logs and sent on |
//! | [`sqs`] | the SQS endpoint |
//! | [`mapping`] | the event source mapping, which polls over the wire |
//! | [`environment`] | execution environments: cold starts, deadlines, freezing, kills |
//! | [`otlp`] | the OTLP receiver, which keeps spans in memory |
//! | `allowed_hosts` | the host names that the stack's own listeners accept |
//!
//! # Environment
//! `baton replay` reads `OTEL_EXPORTER_OTLP_*`, and `XDG_STATE_HOME` or `HOME` for its ledger.
//! Otherwise nothing is read from the environment but `CARGO`, which cargo sets, to build with the
//! toolchain that runs us; and, for colours, `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM`;
//! and `RUST_LOG`, a level or a list of `target=level`, for what `baton` itself reports while it
//! runs: warnings and errors unless it says otherwise. The AWS configuration of the user is neither
//! read nor handed on.

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
mod process_group;
mod replay;
