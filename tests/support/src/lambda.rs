//! The Lambda service as one function process sees it.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{timeout, timeout_at};

use self::dispatcher::{Completion, Delivery, Dispatcher};
use self::process::FunctionProcess;
use crate::server::Server;

mod dispatcher;
mod extensions;
mod function;
mod process;
mod runtime_api;

pub use function::{ACCOUNT, FUNCTION_ARN, FUNCTION_NAME, Function, REGION};

/// Time limit for the init phase, and for an idle process to poll for an event. Lambda's limit is
/// ten seconds; a function under valgrind on a busy machine needs more.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A Lambda service with one execution environment. Dropping it kills the process.
#[derive(Debug)]
pub struct FakeLambda {
    dispatcher: Arc<Dispatcher>,
    process: FunctionProcess,
    freezes: bool,
    started_at: Instant,
    _runtime_api: Server,
}

/// A completed invocation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Invocation {
    /// `Lambda-Runtime-Aws-Request-Id`.
    pub request_id: String,
    /// The response of the function, where an empty body is `null`, or the error that it reported.
    pub response: Result<serde_json::Value, FunctionError>,
    /// Time at which the process got the event.
    pub delivered_at: Instant,
    /// Time at which the response was read.
    pub responded_at: Instant,
    /// Time at which the process polled for the next event, after which Lambda freezes it.
    pub ready_again_at: Instant,
}

impl Invocation {
    /// Returns the time from the event's delivery to the response, for which the caller waits.
    #[must_use]
    pub fn response_time(&self) -> Duration {
        self.responded_at.duration_since(self.delivered_at)
    }

    /// Returns the time from the event's delivery to the request for the next event, which Lambda
    /// bills.
    #[must_use]
    pub fn billed_time(&self) -> Duration {
        self.ready_again_at.duration_since(self.delivered_at)
    }
}

/// An error that the function reported, for an invocation or for its init phase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error_type}: {error_message}")]
pub struct FunctionError {
    /// `errorType` of the report.
    pub error_type: String,
    /// `errorMessage` of the report.
    pub error_message: String,
}

/// The exit of a process that was terminated.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProcessExit {
    /// The exit status.
    pub status: ExitStatus,
    /// Time from SIGTERM to the exit.
    pub duration: Duration,
    /// True if the process ignored SIGTERM until its time limit and was killed.
    pub killed: bool,
    /// All lines that the process wrote to stdout.
    pub stdout: Vec<String>,
    /// All lines that the process wrote to stderr.
    pub stderr: Vec<String>,
}

/// The reason why an invocation did not complete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LambdaError {
    /// The fake or the program could not be started.
    #[error("cannot start the function: {action} failed")]
    Start {
        /// The step that failed.
        action: String,
        /// The cause.
        source: io::Error,
    },
    /// The function reported an error to `/init/error`.
    #[error("the function failed in its init phase")]
    Init(#[source] FunctionError),
    /// The process did not poll for an event: it hangs, or another invocation keeps it busy.
    #[error("the function did not poll for an event within {READY_LIMIT:?}")]
    NeverReady,
    /// The function did not respond before the deadline.
    #[error("the function did not respond within {0:?}")]
    TimedOut(Duration),
    /// The function responded, but did not poll for the next event before the deadline.
    #[error("the function responded, but did not poll for the next event within {0:?}")]
    NotReadyAgain(Duration),
    /// The process exited.
    #[error("the function's process ended with {status}; the end of its stderr:\n{stderr}")]
    Exited {
        /// The exit status.
        status: ExitStatus,
        /// The last lines of stderr.
        stderr: String,
    },
    /// The response is not JSON.
    #[error("the function's response is not JSON")]
    InvalidResponse(#[from] serde_json::Error),
}

/// An invocation with a response. The process may still be busy with it.
struct RespondedInvocation {
    delivery: Delivery,
    completion: Completion,
    ready_again: oneshot::Receiver<Instant>,
    deadline: tokio::time::Instant,
}

impl FakeLambda {
    /// Starts the process. Errors of its init phase are returned by
    /// [`wait_until_ready`](Self::wait_until_ready) or the first [`invoke`](Self::invoke).
    ///
    /// # Errors
    ///
    /// [`LambdaError::Start`].
    pub async fn start(function: &Function) -> Result<Self, LambdaError> {
        let dispatcher = Arc::new(Dispatcher::new(function.rejects_extensions()));
        let runtime_api = runtime_api::start(Arc::clone(&dispatcher)).await;
        let runtime_api = runtime_api.map_err(|source| LambdaError::Start {
            action: "listening on loopback".to_owned(),
            source,
        })?;
        let started_at = Instant::now();
        let command = function.command(runtime_api.address);
        let process = FunctionProcess::spawn(command).map_err(|source| LambdaError::Start {
            action: format!("running {}", function.program().display()),
            source,
        })?;
        Ok(Self {
            dispatcher,
            process,
            freezes: function.freezes(),
            started_at,
            _runtime_api: runtime_api,
        })
    }

    /// Waits for the end of the init phase. Returns its duration, from the start of the process to
    /// its first request for an event.
    ///
    /// # Errors
    ///
    /// [`LambdaError::Init`], [`LambdaError::NeverReady`], [`LambdaError::Exited`].
    pub async fn wait_until_ready(&self) -> Result<Duration, LambdaError> {
        let init = timeout(
            READY_LIMIT,
            self.wait_unless_exited(self.dispatcher.init_result()),
        )
        .await;
        let ready_at = init
            .map_err(|_| LambdaError::NeverReady)??
            .map_err(LambdaError::Init)?;
        Ok(ready_at.duration_since(self.started_at))
    }

    /// Invokes the function, and waits until it has responded *and* polled for the next event.
    /// Concurrent calls are concurrent invocations if the process polls for as many events at a
    /// time; otherwise they wait for their turn.
    ///
    /// `limit` is the function's timeout. The deadline that the process gets counts from the
    /// delivery of the event. Unlike Lambda, this fake does not kill a process that exceeds it.
    ///
    /// # Errors
    ///
    /// Every [`LambdaError`]. An error that the function reports is in [`Invocation::response`].
    pub async fn invoke(
        &self,
        payload: impl Into<Bytes>,
        limit: Duration,
    ) -> Result<Invocation, LambdaError> {
        let responded = self.invoke_until_response(payload, limit).await?;
        let ready_again = self.wait_unless_exited(responded.ready_again);
        let ready_again = timeout_at(responded.deadline, ready_again).await;
        let ready_again_at = ready_again.map_err(|_| LambdaError::NotReadyAgain(limit))??;
        if self.freezes {
            self.process.freeze();
        }
        Ok(Invocation {
            request_id: responded.delivery.request_id,
            responded_at: responded.completion.at,
            response: response(responded.completion)?,
            delivered_at: responded.delivery.at,
            ready_again_at,
        })
    }

    /// Invokes the function and waits only for its response, because the process is going to be
    /// terminated and may not poll for another event.
    ///
    /// # Errors
    ///
    /// Every [`LambdaError`] except [`LambdaError::NotReadyAgain`].
    pub async fn invoke_for_response(
        &self,
        payload: impl Into<Bytes>,
        limit: Duration,
    ) -> Result<Result<serde_json::Value, FunctionError>, LambdaError> {
        let responded = self.invoke_until_response(payload, limit).await?;
        response(responded.completion)
    }

    async fn invoke_until_response(
        &self,
        payload: impl Into<Bytes>,
        limit: Duration,
    ) -> Result<RespondedInvocation, LambdaError> {
        self.wait_until_ready().await?;
        self.process.thaw();
        let stages = self.dispatcher.invoke(payload.into(), limit);
        let delivery = timeout(READY_LIMIT, self.wait_unless_exited(stages.delivery)).await;
        let delivery = delivery.map_err(|_| LambdaError::NeverReady)??;
        let deadline = tokio::time::Instant::from_std(delivery.at + limit);
        let completion = timeout_at(deadline, self.wait_unless_exited(stages.completion)).await;
        Ok(RespondedInvocation {
            delivery,
            completion: completion.map_err(|_| LambdaError::TimedOut(limit))??,
            ready_again: stages.ready_again,
            deadline,
        })
    }

    /// Terminates the process as Lambda does if an extension is registered: SIGTERM, then SIGKILL
    /// after `limit`.
    pub async fn terminate(self, limit: Duration) -> ProcessExit {
        self.process.terminate(limit).await
    }

    /// Returns the process's id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the lines that the process has written to stdout, which is its log on Lambda.
    #[must_use]
    pub fn stdout(&self) -> Vec<String> {
        self.process.stdout()
    }

    /// Returns the lines that the process has written to stderr.
    #[must_use]
    pub fn stderr(&self) -> Vec<String> {
        self.process.stderr()
    }

    /// Returns the names of the registered extensions. They are internal ones, because this fake
    /// starts no other process.
    #[must_use]
    pub fn extensions(&self) -> Vec<String> {
        self.dispatcher.extensions()
    }

    /// Waits for a result that the process causes, or for the exit of the process.
    async fn wait_unless_exited<T, E>(
        &self,
        result: impl Future<Output = Result<T, E>>,
    ) -> Result<T, LambdaError> {
        tokio::select! {
            biased;
            Ok(value) = result => Ok(value),
            status = self.process.wait_for_exit() => Err(LambdaError::Exited {
                status,
                stderr: self.process.stderr_tail(),
            }),
        }
    }
}

fn response(
    completion: Completion,
) -> Result<Result<serde_json::Value, FunctionError>, LambdaError> {
    Ok(match completion.result {
        Ok(body) if body.is_empty() => Ok(serde_json::Value::Null),
        Ok(body) => Ok(serde_json::from_slice(&body)?),
        Err(error) => Err(error),
    })
}
