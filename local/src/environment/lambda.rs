//! Handle of a function: invokes it, reports on its environments and shuts it down.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{broadcast, oneshot};

use super::early_exit::EarlyExits;
use super::logs::EnvironmentLog;
use super::pool::{Claim, ClaimError, EnvironmentCommand, Invocation, Pool};
use super::snapshot::LambdaCounters;
use super::task::{self, FunctionState, StartReason};
use super::{
    EarlyExit, EnvironmentId, Function, InvalidFunction, InvokeError, Logs, Snapshot, variables,
};

/// Maximum size of an event in a synchronous invocation on AWS.
pub const MAX_EVENT_BYTES: usize = 6 * 1024 * 1024;
/// Maximum timeout that AWS accepts.
const MAX_TIMEOUT: Duration = Duration::from_secs(900);

/// A function with its execution environments. Clones share the environments; when the last clone
/// is dropped, the environments are killed.
///
/// ```no_run
/// use baton_local::environment::{Function, Lambda};
///
/// # async fn example(function: Function) -> Result<(), Box<dyn std::error::Error>> {
/// let lambda = Lambda::new(function)?;
/// let response = lambda.invoke(r#"{"Records":[]}"#.into()).await?;
/// println!("{}", String::from_utf8_lossy(&response));
/// lambda.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Lambda {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Arc<FunctionState>,
    logs: Logs,
}

impl Lambda {
    /// Sets a function up. Environments are started when events arrive, so this only checks the
    /// settings and the binary.
    ///
    /// # Errors
    ///
    /// Fails if the binary is missing or not executable, if the timeout is out of range, or if a
    /// variable is reserved.
    pub fn new(mut function: Function) -> Result<Self, InvalidFunction> {
        if function.timeout < Duration::from_millis(1) || function.timeout > MAX_TIMEOUT {
            return Err(InvalidFunction::Timeout {
                timeout: function.timeout,
                limit: MAX_TIMEOUT,
            });
        }
        if let Some(name) = function
            .env
            .keys()
            .find(|name| variables::RESERVED.contains(&name.as_str()))
        {
            return Err(InvalidFunction::ReservedVariable { name: name.clone() });
        }
        // Environments are started in the binary's folder, where a relative path would not resolve.
        function.binary = check_binary(&function.binary)?;
        let pool = Pool::new(function.max_concurrency.get());
        let state = Arc::new(FunctionState {
            function,
            pool,
            counters: LambdaCounters::default(),
            early_exits: EarlyExits::default(),
        });
        Ok(Self {
            inner: Arc::new(Inner {
                state,
                logs: Logs::default(),
            }),
        })
    }

    /// Returns the function's settings.
    pub fn function(&self) -> &Function {
        &self.inner.state.function
    }

    /// Invokes the function. The event and the response are passed on byte for byte.
    ///
    /// Returns as soon as the runtime has posted its response. The environment stays busy until the
    /// runtime polls for the next event. If the returned future is dropped, the function still
    /// finishes the event, as on AWS.
    ///
    /// # Errors
    ///
    /// Fails if the function reports an error, times out, exits or cannot be started, if all
    /// environments are busy, and after [`shutdown`](Self::shutdown).
    pub async fn invoke(&self, payload: Bytes) -> Result<Bytes, InvokeError> {
        let counters = &self.inner.state.counters;
        counters.invocations.increment();
        let result = self.dispatch(payload).await;
        match &result {
            Ok(_) => counters.succeeded.increment(),
            Err(InvokeError::Throttled { .. }) => counters.throttled.increment(),
            Err(_) => counters.failed.increment(),
        }
        result
    }

    /// Starts an environment without an event and waits until it polls for its first one. A later
    /// event uses this environment.
    ///
    /// # Errors
    ///
    /// Fails if the function exits, reports an error or takes longer than ten seconds to
    /// initialise, if all environments are busy, and after [`shutdown`](Self::shutdown).
    pub async fn initialise(&self) -> Result<(), InvokeError> {
        let (reply, initialised) = oneshot::channel();
        match self.inner.state.pool.claim().await {
            // An environment that waits for an event has initialised, so it goes back to the pool.
            Ok(Claim::Warm(commands)) => {
                drop(commands.send(EnvironmentCommand::ReturnToPool));
                Ok(())
            }
            Ok(Claim::Cold(id, commands)) => {
                self.spawn(id, commands, StartReason::Initialisation(reply));
                // The task drops the sender without a reply only during shutdown.
                let result = initialised.await.unwrap_or(Err(InvokeError::ShutDown));
                result.map(drop)
            }
            Err(error) => Err(self.claim_error(error)),
        }
    }

    /// Returns the counters since the start and the environments that exist now.
    pub fn snapshot(&self) -> Snapshot {
        let FunctionState { pool, counters, .. } = &*self.inner.state;
        counters.snapshot(pool.snapshot())
    }

    /// Returns the log of the environments.
    pub fn logs(&self) -> &Logs {
        &self.inner.logs
    }

    /// Subscribes to notifications about environments that end early. A receiver that is too slow
    /// gets `Lagged` with the number of notifications that it missed.
    pub fn early_exits(&self) -> broadcast::Receiver<EarlyExit> {
        self.inner.state.early_exits.subscribe()
    }

    /// Kills the idle environments and returns when they are gone. They get no warning unless an
    /// extension has registered.
    ///
    /// AWS does this sooner or later; here a caller can choose the moment.
    pub async fn kill_idle(&self) {
        self.inner.state.pool.kill_idle().await;
    }

    /// Kills all environments, busy or not, and returns when they are gone. Pending invocations
    /// fail with [`InvokeError::ShutDown`].
    pub async fn shutdown(&self) {
        let pool = &self.inner.state.pool;
        pool.shut_down();
        pool.wait_until_empty().await;
    }

    async fn dispatch(&self, payload: Bytes) -> Result<Bytes, InvokeError> {
        if payload.len() > MAX_EVENT_BYTES {
            return Err(InvokeError::PayloadTooLarge {
                bytes: payload.len(),
                limit: MAX_EVENT_BYTES,
            });
        }
        loop {
            let (reply, response) = oneshot::channel();
            let invocation = Invocation {
                payload: payload.clone(),
                reply,
            };
            match self.inner.state.pool.claim().await {
                Ok(Claim::Warm(commands)) => {
                    drop(commands.send(EnvironmentCommand::Invoke(invocation)))
                }
                Ok(Claim::Cold(id, commands)) => {
                    self.spawn(id, commands, StartReason::Invocation(invocation))
                }
                Err(error) => return Err(self.claim_error(error)),
            }
            // If the reply was dropped, the environment ended before it received the event, so the
            // event goes to another one.
            if let Ok(result) = response.await {
                return result;
            }
        }
    }

    fn spawn(
        &self,
        id: EnvironmentId,
        commands: UnboundedReceiver<EnvironmentCommand>,
        reason: StartReason,
    ) {
        let log = EnvironmentLog::new(self.inner.logs.clone(), id);
        let state = Arc::clone(&self.inner.state);
        tokio::spawn(task::run(id, state, log, commands, reason));
    }

    fn claim_error(&self, error: ClaimError) -> InvokeError {
        match error {
            ClaimError::AllBusy => InvokeError::Throttled {
                max_concurrency: self.function().max_concurrency.get(),
            },
            ClaimError::ShutDown => InvokeError::ShutDown,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.state.pool.shut_down();
    }
}

/// Returns the absolute path of a binary, after checking that it can be executed.
pub(crate) fn check_binary(path: &Path) -> Result<PathBuf, InvalidFunction> {
    let unreadable = |source| InvalidFunction::Binary {
        path: path.to_owned(),
        source,
    };
    let absolute = fs::canonicalize(path).map_err(unreadable)?;
    let metadata = fs::metadata(&absolute).map_err(unreadable)?;
    let any_execute_bit = 0o111;
    if metadata.is_file() && metadata.permissions().mode() & any_execute_bit != 0 {
        return Ok(absolute);
    }
    Err(InvalidFunction::NotExecutable {
        path: path.to_owned(),
    })
}
