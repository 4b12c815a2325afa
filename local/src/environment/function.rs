//! What a function is: its binary and the settings that AWS keeps beside it.

use std::{collections::BTreeMap, fmt, num::NonZeroUsize, path::PathBuf, time::Duration};

/// A function: a binary that speaks the Lambda Runtime API, and its settings.
#[derive(Clone)]
pub struct Function {
    /// Name of the function, as in its ARN.
    pub name: String,
    /// The executable, started once per environment, without arguments, in its own folder.
    pub binary: PathBuf,
    /// How long one invocation may take before its environment is killed.
    pub timeout: Duration,
    /// Told to the function as `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`; not enforced.
    pub memory_mb: u32,
    /// Variables added to those of Lambda. The process inherits nothing else.
    pub env: BTreeMap<String, String>,
    /// How many environments may exist at once; an event that finds all of them busy is throttled.
    pub max_concurrency: NonZeroUsize,
    /// How long an environment may idle before it is killed without warning.
    pub idle_after: Duration,
    /// Region in the ARN and in `AWS_REGION`.
    pub region: String,
    /// Twelve-digit account number in the ARN.
    pub account_id: String,
    /// Whether environments are stopped between invocations.
    pub freeze: Freeze,
}

/// Whether an environment runs between invocations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Freeze {
    /// As on AWS: the process is stopped from the moment it asks for the next event until there is
    /// one.
    BetweenInvocations,
    /// The process keeps running, for instance to attach a debugger or to see what freezing
    /// changes.
    Never,
}

impl Function {
    /// The unqualified ARN of the function.
    pub fn arn(&self) -> String {
        format!(
            "arn:aws:lambda:{}:{}:function:{}",
            self.region, self.account_id, self.name
        )
    }
}

/// Shows the names of the variables only: their values may be secrets.
impl fmt::Debug for Function {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            binary,
            timeout,
            memory_mb,
            env,
            max_concurrency,
            idle_after,
            region,
            account_id,
            freeze,
        } = self;
        formatter
            .debug_struct("Function")
            .field("name", name)
            .field("binary", binary)
            .field("timeout", timeout)
            .field("memory_mb", memory_mb)
            .field("env", &env.keys().collect::<Vec<_>>())
            .field("max_concurrency", max_concurrency)
            .field("idle_after", idle_after)
            .field("region", region)
            .field("account_id", account_id)
            .field("freeze", freeze)
            .finish()
    }
}
