//! The function: set up, and watched for environments that end before their time.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::sync::broadcast;

use super::binaries::{self, program_name};
use super::config::{ACCOUNT, Config, ONBOARDING_FUNCTION, REGION};
use super::error::{FunctionExit, StackError};
use crate::environment::{self, EarlyExit, Function, Lambda, LogSource};
use crate::lines;

/// What the function is told about its memory; a usual size, and not enforced.
const MEMORY_MB: u32 = 256;

/// The longest name that Lambda accepts (`CreateFunction`, `FunctionName`).
const MAX_NAME_LENGTH: usize = 64;

/// Whether this can be a function, as far as that can be told without starting it.
pub(crate) fn check(binary: &Path) -> Result<(), StackError> {
    environment::check_binary(binary).map(drop)?;
    Ok(())
}

/// Sets the function up, without starting an environment.
pub(super) async fn start(
    config: &Config,
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
    Ok(Lambda::start(function).await?)
}

/// Returns the name of the function: that of the program, as in `service.name`, with `-` for each
/// character that Lambda does not accept. The onboarding function has the name of its queue.
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

/// Starts a first environment and waits until it asks for its first event.
pub(super) async fn initialise(lambda: &Lambda) -> Result<(), StackError> {
    lambda.initialise().await.map_err(|source| {
        let lines = lambda.logs().recent();
        // The last line is the error itself.
        let written = lines
            .iter()
            .filter(|line| line.source != LogSource::Platform);
        let texts = written.map(|line| &*line.text).collect::<Vec<_>>();
        StackError::FunctionInit {
            source,
            output: lines::tail(texts.into_iter()),
        }
    })
}

/// Watches a function for environments that end before their time.
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

    /// Waits until an environment ends before its time, and answers what happened with the last
    /// lines that it wrote.
    pub async fn next(&mut self) -> FunctionExit {
        loop {
            // An error says that some were missed, where more of the same say nothing new; it
            // cannot be closed, as `lambda` holds it.
            if let Ok(end) = self.early_exits.recv().await {
                return self.describe_exit(end);
            }
        }
    }

    fn describe_exit(&self, end: EarlyExit) -> FunctionExit {
        let EarlyExit { environment, cause } = end;
        let lines = self.lambda.logs().recent();
        // What Lambda says of it counts as well: of a function that cannot even be started it is
        // all there is.
        let of_it = lines.iter().filter(|line| line.environment == environment);
        let texts = of_it.map(|line| &*line.text).collect::<Vec<_>>();
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
    fn a_function_has_the_name_of_its_file_in_characters_of_lambda() {
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
