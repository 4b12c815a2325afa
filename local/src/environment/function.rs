//! A function: its binary and its settings.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// A function: a binary that speaks the Lambda Runtime API, and its settings.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::num::NonZeroUsize;
/// use std::time::Duration;
///
/// use baton_local::environment::{Freeze, Function};
///
/// let function = Function {
///     name: "orders".to_owned(),
///     binary: "target/debug/orders".into(),
///     timeout: Duration::from_secs(5),
///     memory_mb: 128,
///     env: BTreeMap::from([("TABLE_NAME".to_owned(), "orders".to_owned())]),
///     max_concurrency: NonZeroUsize::MIN,
///     idle_after: Duration::from_secs(300),
///     region: "us-east-1".to_owned(),
///     account_id: "000000000000".to_owned(),
///     freeze: Freeze::BetweenInvocations,
/// };
/// assert_eq!(
///     function.arn(),
///     "arn:aws:lambda:us-east-1:000000000000:function:orders"
/// );
/// ```
#[derive(Clone)]
pub struct Function {
    /// Name in the function's ARN.
    pub name: String,
    /// Path of the executable. Each environment starts it without arguments, in the folder that
    /// contains it.
    pub binary: PathBuf,
    /// Time limit of an invocation, after which its environment is killed.
    pub timeout: Duration,
    /// Value of `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`; not enforced.
    pub memory_mb: u32,
    /// Variables in addition to those that Lambda sets. The process inherits no others.
    pub env: BTreeMap<String, String>,
    /// Maximum number of environments. An event that finds all of them busy is throttled.
    pub max_concurrency: NonZeroUsize,
    /// Idle time after which an environment is killed without warning.
    pub idle_after: Duration,
    /// Region in the function's ARN and in `AWS_REGION`.
    pub region: String,
    /// Twelve-digit account number in the function's ARN.
    pub account_id: String,
    /// Freezing between invocations.
    pub freeze: Freeze,
}

/// Freezing of an environment between invocations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Freeze {
    /// The process is stopped while it waits for the next event, as on AWS.
    BetweenInvocations,
    /// The process keeps running, for instance to attach a debugger or to see what freezing
    /// changes.
    Never,
}

impl Function {
    /// Returns the function's unqualified ARN.
    pub fn arn(&self) -> String {
        format!(
            "arn:aws:lambda:{}:{}:function:{}",
            self.region, self.account_id, self.name
        )
    }
}

/// Prints only the names of the variables, because their values may be secrets.
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
