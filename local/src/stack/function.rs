//! The function: its set-up, and a watcher of environments that end early.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::sync::broadcast;

use super::binaries::{self, program_name};
use super::config::{ACCOUNT, ONBOARDING_FUNCTION, REGION, StackConfig};
use super::error::{FunctionExit, StackError};
use crate::environment::{self, EarlyExit, Function, Lambda, LogSource};
use crate::lines;

/// Memory size that the function is told: a usual value, which is not enforced.
const MEMORY_MB: u32 = 256;

/// Maximum length of a function name (`CreateFunction`, `FunctionName`).
const MAX_NAME_LENGTH: usize = 64;

/// Checks that the binary can be executed, without starting it.
pub(crate) fn check(binary: &Path) -> Result<(), StackError> {
    environment::check_binary(binary).map(drop)?;
    Ok(())
}

/// Sets up the function without starting an environment.
pub(super) fn create(
    config: &StackConfig,
    env: BTreeMap<String, String>,
) -> Result<Lambda, StackError> {
    let function = Function {
        name: name(&config.function),
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
    Ok(Lambda::new(function)?)
}

/// Returns the name of the function: the name of the program, as in `service.name`, with `-` for
/// each character that Lambda does not accept. The onboarding function has the same name as its
/// queue.
fn name(binary: &Path) -> String {
    let program = program_name(binary);
    if program == binaries::FUNCTION.name() {
        return ONBOARDING_FUNCTION.to_owned();
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    program
        .chars()
        .map(|c| if is_allowed(c) { c } else { '-' })
        .take(MAX_NAME_LENGTH)
        .collect()
}

/// Starts an environment and waits until it polls for its first event.
pub(super) async fn initialise(lambda: &Lambda) -> Result<(), StackError> {
    lambda.initialise().await.map_err(|cause| {
        let lines = lambda.logs().recent();
        // Lambda's own line repeats the error.
        let function_lines = lines
            .iter()
            .filter(|line| line.source != LogSource::Platform);
        let texts = function_lines.map(|line| &*line.text).collect::<Vec<_>>();
        StackError::FunctionInit {
            cause,
            output: lines::tail(texts.into_iter()),
        }
    })
}

/// Watcher of environments that end early.
#[derive(Debug)]
pub struct FunctionWatcher {
    lambda: Lambda,
    early_exits: broadcast::Receiver<EarlyExit>,
}

impl FunctionWatcher {
    pub(super) fn new(lambda: Lambda) -> Self {
        let early_exits = lambda.early_exits();
        Self {
            lambda,
            early_exits,
        }
    }

    /// Waits until an environment ends early, and returns the cause with the last lines that it
    /// wrote.
    pub async fn next(&mut self) -> FunctionExit {
        loop {
            // An error means that notifications were missed, and the next one is as good. The
            // channel cannot close, because `lambda` holds the sender.
            if let Ok(end) = self.early_exits.recv().await {
                return self.describe_exit(end);
            }
        }
    }

    fn describe_exit(&self, end: EarlyExit) -> FunctionExit {
        let EarlyExit { environment, cause } = end;
        let lines = self.lambda.logs().recent();
        // Lambda's lines are included: if the process cannot be started, there are no others.
        let environment_lines = lines.iter().filter(|line| line.environment == environment);
        let texts = environment_lines
            .map(|line| &*line.text)
            .collect::<Vec<_>>();
        FunctionExit {
            environment,
            cause,
            output: lines::tail(texts.into_iter()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_named_after_its_file() {
        for (binary, expected) in [
            ("/t/demo/onboarding-lambda", "onboarding"),
            ("/t/demo/orders", "orders"),
            ("orders_v2.sh", "orders_v2"),
            ("./my orders.v2.sh", "my-orders-v2"),
            ("target/lambda/orders/bootstrap", "orders"),
            ("bootstrap", "bootstrap"),
        ] {
            assert_eq!(name(Path::new(binary)), expected);
        }
        assert_eq!(name(Path::new(&"a".repeat(65))), "a".repeat(64));
    }
}
