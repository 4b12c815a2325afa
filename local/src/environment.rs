//! Lambda execution environments: the real function binary behind a Runtime API of its own.
//!
//! [`Lambda`] starts a process when an event finds no environment free, hands it the event, stops
//! it (SIGSTOP) as soon as the runtime asks for the next one, kills it (SIGKILL) when it overruns
//! its timeout or has idled for long, and replaces it on demand. So what a function does between
//! two invocations does not happen here either, and telemetry that was not flushed is seen to be
//! lost.
//!
//! Each environment has a listener of its own on loopback and one task that alone decides about its
//! process: Runtime API calls, commands, the process's end and the deadline all arrive there one
//! after the other, hence no freeze can overtake a call that came before it.
//!
//! An internal extension without events can register: it has the idle environment's end announced,
//! by SIGTERM half a second before SIGKILL.
//!
//! What differs from AWS: no events for extensions, an init that fails is not tried a second time
//! within the same invocation, and memory is not limited.

pub(crate) use self::lambda::check_binary;
pub use self::{
    early_exit::{EarlyExit, EarlyExitCause},
    error::{InvokeError, StartError},
    function::{Freeze, Function},
    lambda::{Lambda, MAX_EVENT_BYTES},
    logs::{LogLine, LogSource, Logs},
    snapshot::{EnvironmentId, EnvironmentSnapshot, Phase, Snapshot},
};

mod function;

mod lambda;

mod pool;

mod task;

mod process;

mod runtime_api;

mod variables;

mod logs;

mod snapshot;

mod early_exit;

mod error;
