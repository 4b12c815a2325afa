//! The Lambda service, as one function process sees it.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::timeout;

use self::desk::{Desk, Done, Start};
use self::process::Process;
use crate::server::Server;

mod desk;
mod extensions;
mod function;
mod output;
mod process;
mod runtime_api;

pub use function::{ACCOUNT, FUNCTION_ARN, FUNCTION_NAME, Function, REGION};

/// What the init phase may take, and until a free process asks for work. Lambda gives ten seconds;
/// a function under valgrind on a busy machine needs more.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A Lambda service with one execution environment. The process is killed when this is dropped.
#[derive(Debug)]
pub struct FakeLambda {
    desk: Arc<Desk>,
    process: Process,
    freezes: bool,
    started_at: Instant,
    _runtime_api: Server,
}

/// What became of one invocation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Invocation {
    /// `Lambda-Runtime-Aws-Request-Id`.
    pub request_id: String,
    /// What the function answered; an empty body is `null`.
    pub response: Result<serde_json::Value, FunctionError>,
    /// When the event was handed to the process.
    pub delivered_at: Instant,
    /// When its answer had been read.
    pub responded_at: Instant,
    /// When it asked for the next invocation: from here on Lambda freezes it.
    pub ready_again_at: Instant,
}

impl Invocation {
    /// From the event's delivery to the response: what whoever waits for the response feels.
    #[must_use]
    pub fn responded_after(&self) -> Duration {
        self.responded_at.duration_since(self.delivered_at)
    }

    /// From the event's delivery until the process waited again: what is billed.
    #[must_use]
    pub fn ready_again_after(&self) -> Duration {
        self.ready_again_at.duration_since(self.delivered_at)
    }
}

/// An error that the function reported: of an invocation, or of its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error_type}: {error_message}")]
pub struct FunctionError {
    /// `errorType` of the report.
    pub error_type: String,
    /// `errorMessage` of the report.
    pub error_message: String,
}

/// How a process ended that was told to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ended {
    /// With what it ended.
    pub status: ExitStatus,
    /// How long after SIGTERM.
    pub after: Duration,
    /// Whether it did not end by itself in time, and was killed.
    pub killed: bool,
    /// All lines that it wrote to stdout.
    pub stdout: Vec<String>,
    /// All lines that it wrote to stderr.
    pub stderr: Vec<String>,
}

/// Why there is no [`Invocation`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LambdaError {
    /// No socket, or no such program.
    #[error("the function cannot be started: {what}")]
    Start {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The function reported it to `/init/error`.
    #[error("the function failed in its init phase")]
    Init(#[source] FunctionError),
    /// It never asked for an invocation, or never again: another one may still keep it busy.
    #[error("the function did not ask for an invocation within {READY_LIMIT:?}")]
    NeverReady,
    /// It gave no response before the deadline.
    #[error("the function did not respond within {0:?}")]
    TimedOut(Duration),
    /// It gave a response, and did not ask for the next invocation before the deadline.
    #[error("the function responded, but did not ask for the next invocation within {0:?}")]
    NotReadyAgain(Duration),
    /// The process ended.
    #[error("the function's process ended with {status}; the end of its stderr:\n{stderr}")]
    Exited {
        /// With what it ended.
        status: ExitStatus,
        /// Its last lines.
        stderr: String,
    },
    /// The response is no JSON.
    #[error("the function's response is not JSON")]
    Response(#[from] serde_json::Error),
}

impl FakeLambda {
    /// Starts the process. Whether it comes up is seen by [`ready`](Self::ready), or the first
    /// [`invoke`](Self::invoke).
    ///
    /// # Errors
    ///
    /// [`LambdaError::Start`].
    pub async fn start(function: &Function) -> Result<Self, LambdaError> {
        let desk = Arc::new(Desk::new(function.refuses_extensions()));
        let listening = runtime_api::start(Arc::clone(&desk)).await;
        let runtime_api = listening.map_err(|source| LambdaError::Start {
            what: "listening on loopback".to_owned(),
            source,
        })?;
        let started_at = Instant::now();
        let command = function.command(runtime_api.address);
        let process = Process::spawn(command).map_err(|source| LambdaError::Start {
            what: format!("running {}", function.program().display()),
            source,
        })?;
        Ok(Self {
            desk,
            process,
            freezes: function.freezes(),
            started_at,
            _runtime_api: runtime_api,
        })
    }

    /// Waits for the end of the init phase and returns how long it took, from the start of the
    /// process to its first request for an event.
    ///
    /// # Errors
    ///
    /// [`LambdaError::Init`], [`LambdaError::NeverReady`], [`LambdaError::Exited`].
    pub async fn ready(&self) -> Result<Duration, LambdaError> {
        let start = timeout(READY_LIMIT, self.or_exit(self.desk.started())).await;
        match start.map_err(|_| LambdaError::NeverReady)?? {
            Start::Ready(at) => Ok(at.duration_since(self.started_at)),
            Start::Failed(error) => Err(LambdaError::Init(error)),
        }
    }

    /// Invokes the function once, and waits until it has responded *and* asks for the next
    /// invocation. Several calls at a time are several invocations at a time, if the process asks
    /// for as many; else they wait for their turn.
    ///
    /// `limit` is the function's timeout: the deadline that it is told begins with the delivery of
    /// the event. Unlike Lambda, nothing is done to a process that is late.
    ///
    /// # Errors
    ///
    /// Every [`LambdaError`]. What the function answers is in [`Invocation::response`], also when
    /// it is an error.
    pub async fn invoke(
        &self,
        payload: impl Into<Bytes>,
        limit: Duration,
    ) -> Result<Invocation, LambdaError> {
        self.ready().await?;
        self.process.thaw();
        let called = self.desk.call(payload.into(), limit);
        let delivered = timeout(READY_LIMIT, self.or_exit(called.delivered)).await;
        let delivered = delivered.map_err(|_| LambdaError::NeverReady)??;
        let deadline = tokio::time::Instant::from_std(delivered.at + limit);
        let done = tokio::time::timeout_at(deadline, self.or_exit(called.done)).await;
        let done = done.map_err(|_| LambdaError::TimedOut(limit))??;
        let ready = tokio::time::timeout_at(deadline, self.or_exit(called.ready_again)).await;
        let ready_again_at = ready.map_err(|_| LambdaError::NotReadyAgain(limit))??;
        if self.freezes {
            self.process.freeze();
        }
        Ok(Invocation {
            request_id: delivered.request_id,
            responded_at: done.at,
            response: response(done)?,
            delivered_at: delivered.at,
            ready_again_at,
        })
    }

    /// Invokes the function once, and waits for its response alone: for a process that is told to
    /// end meanwhile.
    ///
    /// # Errors
    ///
    /// As [`invoke`](Self::invoke).
    pub async fn respond(
        &self,
        payload: impl Into<Bytes>,
        limit: Duration,
    ) -> Result<Result<serde_json::Value, FunctionError>, LambdaError> {
        self.ready().await?;
        self.process.thaw();
        let called = self.desk.call(payload.into(), limit);
        let delivered = timeout(READY_LIMIT, self.or_exit(called.delivered)).await;
        let delivered = delivered.map_err(|_| LambdaError::NeverReady)??;
        let deadline = tokio::time::Instant::from_std(delivered.at + limit);
        let done = tokio::time::timeout_at(deadline, self.or_exit(called.done)).await;
        response(done.map_err(|_| LambdaError::TimedOut(limit))??)
    }

    /// Tells the process to end, as Lambda does where a shutdown is announced: SIGTERM, then
    /// SIGKILL after `limit`.
    pub async fn terminate(self, limit: Duration) -> Ended {
        self.process.terminate(limit).await
    }

    /// The process's id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The lines that the process has written to stdout so far: on Lambda, its log.
    #[must_use]
    pub fn stdout(&self) -> Vec<String> {
        self.process.stdout()
    }

    /// The lines that it has written to stderr so far.
    #[must_use]
    pub fn stderr(&self) -> Vec<String> {
        self.process.stderr()
    }

    /// Names of the extensions that have registered: of internal ones, for their process is this
    /// one.
    #[must_use]
    pub fn extensions(&self) -> Vec<String> {
        self.desk.extensions()
    }

    /// Waits for something that a dead process does not give.
    async fn or_exit<T, E>(
        &self,
        wait: impl Future<Output = Result<T, E>>,
    ) -> Result<T, LambdaError> {
        tokio::select! {
            biased;
            Ok(value) = wait => Ok(value),
            status = self.process.exited() => Err(LambdaError::Exited {
                status,
                stderr: self.process.last_words(),
            }),
        }
    }
}

fn response(done: Done) -> Result<Result<serde_json::Value, FunctionError>, LambdaError> {
    Ok(match done.result {
        Ok(body) if body.is_empty() => Ok(serde_json::Value::Null),
        Ok(body) => Ok(serde_json::from_slice(&body)?),
        Err(error) => Err(error),
    })
}
