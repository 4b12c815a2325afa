//! The function: set up, and watched for environments that end before their time.

use std::collections::BTreeMap;

use tokio::sync::broadcast;

use super::config::Config;
use super::error::StackError;
use super::names::{ACCOUNT, FUNCTION, REGION};
use crate::environment::{Function, Lambda, LogLine, Snapshot};
use crate::lines;

/// What the function is told about its memory; a usual size, and not enforced.
const MEMORY_MB: u32 = 256;

/// Sets the function up; its first environment starts with the first message.
pub(super) async fn start(
    config: &Config,
    env: BTreeMap<String, String>,
) -> Result<Lambda, StackError> {
    let function = Function {
        name: FUNCTION.to_owned(),
        binary: config.function.clone(),
        timeout: config.function_timeout,
        memory_mb: MEMORY_MB,
        env,
        max_concurrency: config.concurrency,
        idle_after: config.idle_after,
        region: REGION.to_owned(),
        account_id: ACCOUNT.to_owned(),
        freeze: config.freeze,
    };
    Ok(Lambda::start(function).await?)
}

/// Environments of the function that ended before their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionTrouble {
    /// A process ended, or reported an error, before it asked for its first event.
    CannotStart,
    /// A process ended in the middle of its work.
    Died,
    /// A process was killed because an invocation took too long.
    TimedOut,
}

/// Watches a function for environments that end before their time.
#[derive(Debug)]
pub struct FunctionWatch {
    lambda: Lambda,
    lines: broadcast::Receiver<LogLine>,
    seen: Snapshot,
}

impl FunctionWatch {
    pub(super) fn new(lambda: Lambda) -> Self {
        let lines = lambda.logs().subscribe();
        Self {
            lines,
            seen: lambda.snapshot(),
            lambda,
        }
    }

    /// Waits until an environment ends before its time, and answers what happened with the last lines that the function wrote.
    pub async fn next(&mut self) -> (FunctionTrouble, String) {
        loop {
            let now = self.lambda.snapshot();
            let trouble = trouble(&self.seen, &now);
            self.seen = now;
            if let Some(trouble) = trouble {
                return (trouble, self.tail());
            }
            // Lambda writes a line about every environment that ends. An error only says that lines were missed.
            let _ = self.lines.recv().await;
        }
    }

    fn tail(&self) -> String {
        let lines = self.lambda.logs().recent();
        // What Lambda says of it counts as well: of a function that cannot even be started it is all there is.
        lines::tail(lines.iter().map(|line| &*line.text))
    }
}

fn trouble(before: &Snapshot, now: &Snapshot) -> Option<FunctionTrouble> {
    if now.init_failed > before.init_failed {
        Some(FunctionTrouble::CannotStart)
    } else if now.exited > before.exited {
        Some(FunctionTrouble::Died)
    } else if now.timed_out > before.timed_out {
        Some(FunctionTrouble::TimedOut)
    } else {
        None
    }
}

impl std::fmt::Display for FunctionTrouble {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::CannotStart => "the function cannot start",
            Self::Died => "the function died during an invocation",
            Self::TimedOut => "the function was killed because an invocation took too long",
        })
    }
}
