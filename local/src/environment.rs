//! Lambda execution environments: the real function binary behind a Runtime API.
//!
//! [`Lambda`] starts a process when an event finds no free environment and passes the event to it.
//! It stops the process (SIGSTOP) when the runtime polls for the next event, kills it (SIGKILL)
//! when an invocation times out or the environment has been idle for too long, and starts a new one
//! on demand. A function therefore does nothing between two invocations, as on AWS, and telemetry
//! that was not flushed is lost.
//!
//! Each environment has its own listener on loopback and one task that controls its process.
//! Runtime API calls, commands, the exit of the process and the deadline all arrive at this task in
//! order, so a freeze cannot overtake a call that was made before it.
//!
//! An internal extension can register without events. An idle environment with such an extension
//! gets SIGTERM half a second before SIGKILL.
//!
//! Differences from AWS: extensions get no events, a failed init is not retried within the same
//! invocation, and memory is not limited.

mod early_exit;
mod error;
mod function;
mod lambda;
mod logs;
mod pool;
mod process;
mod runtime_api;
mod snapshot;
mod task;
mod variables;

pub use self::early_exit::{EarlyExit, EarlyExitCause};
pub use self::error::{InvalidFunction, InvokeError};
pub use self::function::{Freeze, Function};
pub(crate) use self::lambda::check_binary;
pub use self::lambda::{Lambda, MAX_EVENT_BYTES};
pub use self::logs::{LogLine, LogSource, Logs};
pub use self::snapshot::{EnvironmentId, EnvironmentSnapshot, Phase, Snapshot};
