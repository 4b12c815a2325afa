//! A function: its program, its environment, and how the fake Lambda treats it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::collector::TestCollector;

/// Name of every function, in `AWS_LAMBDA_FUNCTION_NAME`.
pub const FUNCTION_NAME: &str = "under-test";
/// Region of every function.
pub const REGION: &str = "eu-central-1";
/// Account of every function.
pub const ACCOUNT: &str = "123456789012";
/// `Lambda-Runtime-Invoked-Function-Arn` of every invocation.
pub const FUNCTION_ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:under-test";

/// A program and its environment variables: the ones that Lambda sets and the ones that are set
/// here, without those of this process.
#[derive(Debug, Clone)]
pub struct Function {
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: BTreeMap<String, String>,
    freezes: bool,
    rejects_extensions: bool,
}

impl Function {
    /// A function that runs this program.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            variables: BTreeMap::new(),
            freezes: false,
            rejects_extensions: false,
        }
    }

    /// Adds an argument, for a program that runs the function itself as a command.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets a variable, which may be one that Lambda sets.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Points `OTEL_EXPORTER_OTLP_ENDPOINT` at a collector.
    #[must_use]
    pub fn export_to(self, collector: &TestCollector) -> Self {
        self.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
    }

    /// Allows this many concurrent invocations, as Lambda Managed Instances do.
    #[must_use]
    pub fn max_concurrency(self, invocations: NonZeroUsize) -> Self {
        self.variable("AWS_LAMBDA_MAX_CONCURRENCY", &invocations.to_string())
    }

    /// Stops the process (SIGSTOP) after each invocation, as Lambda freezes its environment. For
    /// functions without concurrent invocations.
    #[must_use]
    pub fn freeze(mut self) -> Self {
        self.freezes = true;
        self
    }

    /// Rejects the registration of extensions, as Lambda does if there are too many.
    #[must_use]
    pub fn reject_extensions(mut self) -> Self {
        self.rejects_extensions = true;
        self
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn freezes(&self) -> bool {
        self.freezes
    }

    pub(super) fn rejects_extensions(&self) -> bool {
        self.rejects_extensions
    }

    pub(super) fn command(&self, runtime_api: SocketAddr) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string())
            .envs(lambda_variables())
            .envs(&self.variables);
        command
    }
}

fn lambda_variables() -> [(&'static str, &'static str); 14] {
    [
        ("AWS_LAMBDA_FUNCTION_NAME", FUNCTION_NAME),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/under-test"),
        (
            "AWS_LAMBDA_LOG_STREAM_NAME",
            "2026/11/21/[$LATEST]0123456789abcdef",
        ),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("_HANDLER", "bootstrap"),
        ("LANG", "en_US.UTF-8"),
        ("TZ", ":UTC"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin"),
    ]
}
