//! The life of one environment, as one task: initialise, then idle and serve in turn, then end.

use std::{
    future::ready,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::{Instant, sleep_until, timeout},
};

use self::active_invocation::ActiveInvocation;
use super::{
    EarlyExit, EarlyExitCause, EnvironmentId, Function, InvokeError, LogSource,
    early_exit::EarlyExits,
    logs::EnvironmentLog,
    pool::{EnvironmentCommand, Invocation, Pool, ResponseSender},
    process::{FunctionProcess, ProcessOutput},
    runtime_api::{CallStatus, NextReply, RuntimeApi, RuntimeCall},
    snapshot::LambdaCounters,
    variables::VERSION,
};

mod active_invocation;

/// What AWS allows a function between its start and its first `/next`.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// A runtime that has reported an init error ends by itself; this is for its last words before it
/// is killed.
const INIT_ERROR_GRACE: Duration = Duration::from_millis(250);

/// What Lambda gives a process between SIGTERM and SIGKILL where all extensions are internal ones.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);
/// How long the last lines of a killed process may take to be read. They are in the pipe already,
/// so this is never waited out unless a process has left the group and keeps the pipe open.
const FINAL_OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);
/// How many lines are logged before anything else gets its turn, so that a function that never
/// stops writing still meets its deadline.
const LINES_IN_A_ROW: usize = 256;

/// What an environment needs to know about the function it belongs to.
#[derive(Debug)]
pub(super) struct FunctionState {
    pub(super) function: Function,
    pub(super) pool: Pool,
    pub(super) counters: LambdaCounters,
    pub(super) early_exits: EarlyExits,
}

/// The reason why an environment is started.
#[derive(Debug)]
pub(super) enum StartReason {
    /// An event has arrived.
    Invocation(Invocation),
    /// A caller waits until the environment has initialised.
    Initialisation(ResponseSender),
}

impl StartReason {
    fn into_reply(self) -> ResponseSender {
        match self {
            Self::Invocation(Invocation { reply, .. }) | Self::Initialisation(reply) => reply,
        }
    }
}

/// Runs an environment from its start to its end.
pub(super) async fn run(
    id: EnvironmentId,
    state: Arc<FunctionState>,
    log: EnvironmentLog,
    commands: mpsc::UnboundedReceiver<EnvironmentCommand>,
    first: StartReason,
) {
    // Whatever happens below, a panic included, the environment leaves the pool: others wait for
    // its place.
    let slot = PoolSlot::new(id, &state.pool);
    let pending = match StartedProcess::start(&state.function).await {
        Ok(started) => {
            EnvironmentTask::new(id, &state, log, commands, started)
                .run(first)
                .await
        }
        Err(error) => {
            // Counted before it is logged, here as below: whoever follows the log looks at the
            // counters when a line comes.
            state.counters.init_failed.increment();
            log.write(LogSource::Platform, &error.to_string());
            state.early_exits.send(EarlyExit {
                environment: id,
                cause: EarlyExitCause::InitFailed,
            });
            Some(PendingReply {
                reply: first.into_reply(),
                error,
            })
        }
    };
    // In this order, so that a caller who hears of the end finds no process left and the place
    // free.
    drop(slot);
    if let Some(PendingReply { reply, error }) = pending {
        // An error says that the caller has gone away.
        let _ = reply.send(Err(error));
    }
}

/// An environment's slot in the pool, which is free again when this is dropped.
struct PoolSlot<'a> {
    id: EnvironmentId,
    pool: &'a Pool,
}

impl<'a> PoolSlot<'a> {
    fn new(id: EnvironmentId, pool: &'a Pool) -> Self {
        Self { id, pool }
    }
}

impl Drop for PoolSlot<'_> {
    fn drop(&mut self) {
        self.pool.remove(self.id);
    }
}

/// What runs once an environment has been started.
struct StartedProcess {
    api: RuntimeApi,
    process: FunctionProcess,
    output: ProcessOutput,
}

impl StartedProcess {
    async fn start(function: &Function) -> Result<Self, InvokeError> {
        let api = RuntimeApi::listen(function)
            .await
            .map_err(|error| InvokeError::Init {
                error_type: "Runtime.ApiUnavailable".to_owned(),
                message: format!("cannot listen on loopback for the runtime api: {error}"),
            })?;
        let (process, output) =
            FunctionProcess::spawn(function, api.address).map_err(|error| InvokeError::Init {
                error_type: "Runtime.InvalidEntrypoint".to_owned(),
                message: format!("cannot start {}: {error}", function.binary.display()),
            })?;
        Ok(Self {
            api,
            process,
            output,
        })
    }
}

/// What is left to say to the caller of an environment that ended with its event.
struct PendingReply {
    reply: ResponseSender,
    error: InvokeError,
}

struct EnvironmentTask<'a> {
    id: EnvironmentId,
    state: &'a FunctionState,
    log: EnvironmentLog,
    commands: mpsc::UnboundedReceiver<EnvironmentCommand>,
    api: RuntimeApi,
    process: FunctionProcess,
    output: ProcessOutput,
    /// Senders to notify once it has initialised.
    initialised: Option<ResponseSender>,
    /// What ends it before its time.
    early_exit_cause: Option<EarlyExitCause>,
}

/// Whatever can happen to an environment.
enum EnvironmentEvent {
    Call(RuntimeCall),
    Command(EnvironmentCommand),
    Exited(String),
    TimedOut,
}

impl<'a> EnvironmentTask<'a> {
    fn new(
        id: EnvironmentId,
        state: &'a FunctionState,
        log: EnvironmentLog,
        commands: mpsc::UnboundedReceiver<EnvironmentCommand>,
        started: StartedProcess,
    ) -> Self {
        let StartedProcess {
            api,
            process,
            output,
        } = started;
        state.counters.started.increment();
        state.pool.set_pid(id, process.id());
        Self {
            id,
            state,
            log,
            commands,
            api,
            process,
            output,
            initialised: None,
            early_exit_cause: None,
        }
    }

    async fn run(mut self, first: StartReason) -> Option<PendingReply> {
        let pending = self.serve_invocations(first).await;
        self.state.pool.mark_terminating(self.id);
        self.process.kill().await;
        let (log, mut output) = (self.log, self.output);
        let _ = timeout(FINAL_OUTPUT_TIMEOUT, async {
            while let Some((source, line)) = output.next_line().await {
                log.write(source, &line);
            }
        })
        .await;
        if let Some(cause) = self.early_exit_cause {
            // Only now: who hears of it looks at what it wrote.
            let environment = self.id;
            self.state
                .early_exits
                .send(EarlyExit { environment, cause });
        }
        pending
    }

    async fn serve_invocations(&mut self, first: StartReason) -> Option<PendingReply> {
        let mut next = match self.initialise().await {
            Ok(next) => next,
            Err(error) => {
                if !matches!(error, InvokeError::ShutDown) {
                    self.record_early_exit(EarlyExitCause::InitFailed);
                }
                self.log_platform(&error.to_string());
                return Some(PendingReply {
                    reply: first.into_reply(),
                    error,
                });
            }
        };
        let mut invocation = match first {
            StartReason::Invocation(invocation) => invocation,
            StartReason::Initialisation(reply) => {
                self.initialised = Some(reply);
                self.next_invocation(&mut next).await?
            }
        };
        loop {
            next = match self.serve(invocation, next).await {
                Ok(next) => next,
                Err(pending) => return pending,
            };
            invocation = self.next_invocation(&mut next).await?;
        }
    }

    /// Waits for the first `/next`.
    async fn initialise(&mut self) -> Result<NextReply, InvokeError> {
        let until = Instant::now() + INIT_TIMEOUT;
        loop {
            match self.next_event(until).await {
                EnvironmentEvent::Call(RuntimeCall::Next { reply }) => return Ok(reply),
                EnvironmentEvent::Call(RuntimeCall::Complete { reply, .. }) => {
                    send_status(reply, CallStatus::InvalidStateTransition)
                }
                EnvironmentEvent::Call(RuntimeCall::InitError { error, reply }) => {
                    send_status(reply, CallStatus::Accepted);
                    let _ = timeout(INIT_ERROR_GRACE, self.process.wait()).await;
                    return Err(InvokeError::Init {
                        error_type: error.error_type,
                        message: error.message,
                    });
                }
                // The event that it was started for is with us, so it is in nobody's reach.
                EnvironmentEvent::Command(
                    EnvironmentCommand::Invoke(_) | EnvironmentCommand::ReturnToPool,
                ) => {}
                EnvironmentEvent::Command(EnvironmentCommand::Kill) => {
                    return Err(self.record_kill());
                }
                EnvironmentEvent::Exited(message) => {
                    return Err(InvokeError::Init {
                        error_type: "Runtime.ExitError".to_owned(),
                        message,
                    });
                }
                EnvironmentEvent::TimedOut => {
                    return Err(InvokeError::InitTimedOut {
                        after: INIT_TIMEOUT,
                    });
                }
            }
        }
    }

    /// Freezes the process and waits for an event; `None` when the environment is to end.
    async fn idle(&mut self, next: &mut NextReply) -> Option<Invocation> {
        let FunctionState {
            function,
            pool,
            counters,
            ..
        } = self.state;
        self.process.freeze();
        pool.mark_idle(self.id);
        // Notified only now, so that an event sent in response reuses this environment.
        if let Some(reply) = self.initialised.take() {
            let _ = reply.send(Ok(Bytes::new()));
        }
        let until = Instant::now() + function.idle_after;
        loop {
            match self.next_event(until).await {
                EnvironmentEvent::Command(EnvironmentCommand::Invoke(invocation)) => {
                    return Some(invocation);
                }
                EnvironmentEvent::Command(EnvironmentCommand::ReturnToPool) => {
                    pool.mark_idle(self.id)
                }
                EnvironmentEvent::Command(EnvironmentCommand::Kill) => {
                    counters.killed.increment();
                    return None;
                }
                // Sent before the freeze took hold, or from an environment that is never frozen.
                EnvironmentEvent::Call(RuntimeCall::Next { reply }) => *next = reply,
                EnvironmentEvent::Call(RuntimeCall::Complete { reply, .. }) => {
                    send_status(reply, CallStatus::UnknownRequest)
                }
                EnvironmentEvent::Call(RuntimeCall::InitError { reply, .. }) => {
                    send_status(reply, CallStatus::InvalidStateTransition)
                }
                EnvironmentEvent::Exited(reason) => {
                    self.record_early_exit(EarlyExitCause::Exited);
                    self.log_platform(&reason);
                    return None;
                }
                EnvironmentEvent::TimedOut if pool.withdraw(self.id) => {
                    counters.reaped.increment();
                    return None;
                }
                // An event has claimed the environment at this very moment: its command is the next
                // thing to happen, or already there.
                EnvironmentEvent::TimedOut => return self.receive_claim().await,
            }
        }
    }

    /// Waits for an event; `None` when the environment is to be killed, which its process then
    /// knows if it has asked to be told.
    async fn next_invocation(&mut self, next: &mut NextReply) -> Option<Invocation> {
        let invocation = self.idle(next).await;
        if invocation.is_none() && self.early_exit_cause.is_none() && self.api.has_extension() {
            self.announce_shutdown().await;
        }
        invocation
    }

    async fn announce_shutdown(&mut self) {
        self.process.terminate();
        let until = Instant::now() + SHUTDOWN_GRACE;
        loop {
            match self.next_event(until).await {
                EnvironmentEvent::Exited(_) => return,
                EnvironmentEvent::TimedOut => {
                    let late =
                        format!("still runs {SHUTDOWN_GRACE:?} after SIGTERM, and is killed");
                    return self.log.write(LogSource::Platform, &late);
                }
                // Nothing can be asked of it any more, and it has nothing to ask.
                EnvironmentEvent::Call(_) | EnvironmentEvent::Command(_) => {}
            }
        }
    }

    /// Waits for the command of whoever has claimed the environment.
    async fn receive_claim(&mut self) -> Option<Invocation> {
        match self.commands.recv().await {
            Some(EnvironmentCommand::Invoke(invocation)) => Some(invocation),
            // The idle time is over and there is no event, so the environment ends.
            Some(EnvironmentCommand::ReturnToPool) => None,
            Some(EnvironmentCommand::Kill) | None => {
                self.state.counters.killed.increment();
                None
            }
        }
    }

    /// Hands an event out and stays with it until the runtime asks for the next one, or until the
    /// environment is to end.
    async fn serve(
        &mut self,
        invocation: Invocation,
        next: NextReply,
    ) -> Result<NextReply, Option<PendingReply>> {
        let timeout = self.state.function.timeout;
        let until = Instant::now() + timeout;
        let mut active = self.start_invocation(invocation, SystemTime::now() + timeout);
        active.deliver(next);
        loop {
            let error = match self.next_event(until).await {
                EnvironmentEvent::Call(call) => match self.handle_call(call, &mut active) {
                    Some(next) => return Ok(next),
                    None => continue,
                },
                // Nobody can claim an environment that is not idle; if it were so, the caller would
                // find another one.
                EnvironmentEvent::Command(
                    EnvironmentCommand::Invoke(_) | EnvironmentCommand::ReturnToPool,
                ) => continue,
                EnvironmentEvent::Command(EnvironmentCommand::Kill) => self.record_kill(),
                EnvironmentEvent::Exited(reason) => self.exit_error(&active, reason),
                EnvironmentEvent::TimedOut => self.timeout_error(&active),
            };
            self.log_platform(&error.to_string());
            self.log_report(&active);
            return Err(active
                .into_reply()
                .map(|reply| PendingReply { reply, error }));
        }
    }

    /// Answers a call that comes during an invocation. Returns the open `/next` that ends it.
    fn handle_call(
        &mut self,
        call: RuntimeCall,
        active: &mut ActiveInvocation,
    ) -> Option<NextReply> {
        match call {
            RuntimeCall::Next { reply } => {
                let finished = active.handle_next(reply)?;
                self.log_report(active);
                return Some(finished);
            }
            RuntimeCall::Complete {
                request_id,
                result,
                reply,
            } => {
                let status = active.check_request_id(&request_id);
                if status == CallStatus::Accepted {
                    // First this, then the response: a caller who comes back at once is to find the
                    // environment about to be free.
                    self.state.pool.mark_finishing(self.id);
                    active.respond(result.map_err(InvokeError::from));
                }
                send_status(reply, status);
            }
            RuntimeCall::InitError { reply, .. } => {
                send_status(reply, CallStatus::InvalidStateTransition)
            }
        }
        None
    }

    /// Counts the cause that ends this environment, and remembers it for those who watch.
    fn record_early_exit(&mut self, cause: EarlyExitCause) {
        let counters = &self.state.counters;
        let counter = match cause {
            EarlyExitCause::InitFailed => &counters.init_failed,
            EarlyExitCause::Exited => &counters.exited,
            EarlyExitCause::TimedOut => &counters.timed_out,
        };
        counter.increment();
        self.early_exit_cause = Some(cause);
    }

    fn record_kill(&self) -> InvokeError {
        self.state.counters.killed.increment();
        InvokeError::ShutDown
    }

    fn exit_error(&mut self, active: &ActiveInvocation, reason: String) -> InvokeError {
        self.record_early_exit(EarlyExitCause::Exited);
        InvokeError::Exited {
            request_id: active.request_id.clone(),
            reason,
        }
    }

    fn timeout_error(&mut self, active: &ActiveInvocation) -> InvokeError {
        self.record_early_exit(EarlyExitCause::TimedOut);
        let after = self.state.function.timeout;
        InvokeError::TimedOut {
            request_id: active.request_id.clone(),
            after,
        }
    }

    fn start_invocation(
        &mut self,
        invocation: Invocation,
        deadline: SystemTime,
    ) -> ActiveInvocation {
        let active = ActiveInvocation::new(invocation, self.state.function.arn(), deadline);
        self.process.thaw();
        self.state.pool.mark_running(self.id);
        self.log.set_request_id(&active.request_id);
        self.log_platform(&format!(
            "START RequestId: {} Version: {VERSION}",
            active.request_id
        ));
        active
    }

    fn log_report(&self, active: &ActiveInvocation) {
        let request_id = &active.request_id;
        let milliseconds = active.elapsed().as_secs_f64() * 1e3;
        let memory_mb = self.state.function.memory_mb;
        self.log_platform(&format!("END RequestId: {request_id}"));
        self.log_platform(&format!(
            "REPORT RequestId: {request_id}\tDuration: {milliseconds:.2} ms\tMemory Size: {memory_mb} MB"
        ));
    }

    fn log_platform(&self, text: &str) {
        self.log.write(LogSource::Platform, text);
    }

    /// Logs the lines that are there already. The system may tell of a call before it tells of a
    /// line that was written just before it, so it is asked once more.
    async fn log_available_lines(&mut self) {
        yield_now().await;
        for _ in 0..LINES_IN_A_ROW {
            tokio::select! {
                biased;
                Some((source, line)) = self.output.next_line() => self.log.write(source, &line),
                () = ready(()) => return,
            }
        }
    }

    /// The next thing that happens. In this order when several have: lines are logged before the
    /// call that they precede takes effect, and an answer that has arrived counts, even if the
    /// process has ended since or the deadline has passed with it.
    async fn next_event(&mut self, until: Instant) -> EnvironmentEvent {
        let mut lines = 0;
        loop {
            tokio::select! {
                biased;
                Some(command) = self.commands.recv() => return EnvironmentEvent::Command(command),
                Some((source, line)) = self.output.next_line(), if lines < LINES_IN_A_ROW => {
                    lines += 1;
                    self.log.write(source, &line);
                }
                Some(call) = self.api.calls.recv() => {
                    self.log_available_lines().await;
                    return EnvironmentEvent::Call(call);
                }
                reason = self.process.wait() => return EnvironmentEvent::Exited(reason),
                () = sleep_until(until) => return EnvironmentEvent::TimedOut,
                () = yield_now(), if lines == LINES_IN_A_ROW => lines = 0,
            }
        }
    }
}

fn send_status(reply: oneshot::Sender<CallStatus>, status: CallStatus) {
    // An error says that the runtime has hung up.
    let _ = reply.send(status);
}
