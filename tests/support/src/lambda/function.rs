//! What is run as a function, and with which environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::collector::TestCollector;

/// `AWS_LAMBDA_FUNCTION_NAME` of every function.
pub const FUNCTION_NAME: &str = "under-test";
/// Where it runs.
pub const REGION: &str = "eu-central-1";
/// Whose it is.
pub const ACCOUNT: &str = "123456789012";
/// `Lambda-Runtime-Invoked-Function-Arn` of every invocation.
pub const FUNCTION_ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:under-test";

/// A program and its environment. It gets Lambda's usual variables, those set here, and nothing of
/// this process's.
#[derive(Debug, Clone)]
pub struct Function {
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: BTreeMap<String, String>,
    freezes: bool,
    refuses_extensions: bool,
}

impl Function {
    /// A program to run as a function.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            variables: BTreeMap::new(),
            freezes: false,
            refuses_extensions: false,
        }
    }

    /// One more argument, for a program that runs the function in its turn.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets a variable, also one of Lambda's own.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Points `OTEL_EXPORTER_OTLP_ENDPOINT` at a collector.
    #[must_use]
    pub fn exporting_to(self, collector: &TestCollector) -> Self {
        self.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
    }

    /// As on a Managed Instance that sends up to so many invocations at a time.
    #[must_use]
    pub fn max_concurrency(self, invocations: NonZeroUsize) -> Self {
        self.variable("AWS_LAMBDA_MAX_CONCURRENCY", &invocations.to_string())
    }

    /// Stops the process (SIGSTOP) after each invocation, as Lambda freezes its environment. Not
    /// for several invocations at a time.
    #[must_use]
    pub fn freezing(mut self) -> Self {
        self.freezes = true;
        self
    }

    /// Refuses extensions that want to register, as Lambda does when there are too many.
    #[must_use]
    pub fn refusing_extensions(mut self) -> Self {
        self.refuses_extensions = true;
        self
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn freezes(&self) -> bool {
        self.freezes
    }

    pub(super) fn refuses_extensions(&self) -> bool {
        self.refuses_extensions
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
