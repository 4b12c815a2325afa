//! The handle on a function: invoke it, watch it, end it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc::UnboundedReceiver, oneshot};

use super::{
    EarlyExit, EnvironmentId, Function, InvokeError, Logs, Snapshot, StartError,
    early_exit::EarlyExits,
    logs::EnvironmentLog,
    pool::{Claim, ClaimError, EnvironmentCommand, Invocation, Pool},
    snapshot::LambdaCounters,
    task::{self, FunctionState, StartReason},
    variables,
};

/// What an event of a synchronous invocation may weigh on AWS.
pub const MAX_EVENT_BYTES: usize = 6 * 1024 * 1024;
/// AWS's limit on a function's timeout.
const MAX_TIMEOUT: Duration = Duration::from_secs(900);

/// A function with its execution environments. Clones share them; when the last clone is dropped,
/// the environments are killed.
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
    /// Sets a function up. Environments are started when events come, so this only checks the
    /// settings and that the binary can be executed.
    ///
    /// # Errors
    ///
    /// When the binary is missing or not executable, the timeout is out of range, or a variable is
    /// reserved.
    pub async fn start(mut function: Function) -> Result<Self, StartError> {
        if function.timeout < Duration::from_millis(1) || function.timeout > MAX_TIMEOUT {
            return Err(StartError::Timeout {
                timeout: function.timeout,
                limit: MAX_TIMEOUT,
            });
        }
        if let Some(name) = function
            .env
            .keys()
            .find(|name| variables::RESERVED.contains(&name.as_str()))
        {
            return Err(StartError::ReservedVariable { name: name.clone() });
        }
        // Environments are started in the binary's folder, where a relative path would lead
        // somewhere else.
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

    /// The function's settings.
    pub fn function(&self) -> &Function {
        &self.inner.state.function
    }

    /// Invokes the function with an event, byte for byte, and returns its response, byte for byte.
    ///
    /// The response is returned when the runtime has posted it; the environment stays busy until it
    /// asks for its next event. When the returned future is dropped the function still finishes the
    /// event, as it would on AWS.
    ///
    /// # Errors
    ///
    /// When the function fails, overruns its timeout, ends or cannot be started, when all
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

    /// Starts an environment without an event and waits until it asks for its first one. A later
    /// event uses this environment.
    ///
    /// # Errors
    ///
    /// When the function ends, reports an error or takes longer than ten seconds before it asks for
    /// an event, when all environments are busy, and after [`shutdown`](Self::shutdown).
    pub async fn initialise(&self) -> Result<(), InvokeError> {
        let (reply, initialised) = oneshot::channel();
        match self.inner.state.pool.claim().await {
            // An environment that waits for an event has initialised; it is returned to the pool.
            Ok(Claim::Warm(commands)) => {
                drop(commands.send(EnvironmentCommand::ReturnToPool));
                Ok(())
            }
            Ok(Claim::Cold(id, commands)) => {
                self.spawn(id, commands, StartReason::Initialisation(reply));
                // The task drops the sender without an answer only during shutdown.
                let result = initialised.await.unwrap_or(Err(InvokeError::ShutDown));
                result.map(drop)
            }
            Err(error) => Err(self.claim_error(error)),
        }
    }

    /// Counters since the start, and the environments that exist now.
    pub fn snapshot(&self) -> Snapshot {
        let FunctionState { pool, counters, .. } = &*self.inner.state;
        counters.snapshot(pool.snapshot())
    }

    /// What the environments have written.
    pub fn logs(&self) -> &Logs {
        &self.inner.logs
    }

    /// Hears of environments that end before their time, from now on. A follower that is too slow
    /// gets `Lagged` with the number of those it missed.
    pub fn early_exits(&self) -> broadcast::Receiver<EarlyExit> {
        self.inner.state.early_exits.subscribe()
    }

    /// Kills every environment that waits for an event, without warning unless an extension has
    /// asked for one, and returns when they are gone.
    ///
    /// This is what AWS does with them sooner or later, at a moment that a test can choose.
    pub async fn kill_idle(&self) {
        self.inner.state.pool.kill_idle().await;
    }

    /// Kills every environment, busy or not, and returns when they are gone. Invocations under way
    /// end with [`InvokeError::ShutDown`].
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
            // Without an answer the environment ended before it took the event, so another one gets
            // it.
            if let Ok(result) = response.await {
                return result;
            }
        }
    }

    fn spawn(
        &self,
        id: EnvironmentId,
        commands: UnboundedReceiver<EnvironmentCommand>,
        first: StartReason,
    ) {
        let log = EnvironmentLog::new(self.inner.logs.clone(), id);
        let state = Arc::clone(&self.inner.state);
        tokio::spawn(task::run(id, state, log, commands, first));
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

/// The absolute path of a binary that can be executed.
pub(crate) fn check_binary(path: &Path) -> Result<PathBuf, StartError> {
    let unreadable = |source| StartError::Binary {
        path: path.to_owned(),
        source,
    };
    let absolute = fs::canonicalize(path).map_err(unreadable)?;
    let metadata = fs::metadata(&absolute).map_err(unreadable)?;
    let any_execute_bit = 0o111;
    if metadata.is_file() && metadata.permissions().mode() & any_execute_bit != 0 {
        return Ok(absolute);
    }
    Err(StartError::NotExecutable {
        path: path.to_owned(),
    })
}
