//! The task of one environment: initialises it, then alternates between waiting and serving until
//! it ends.

use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use self::active_invocation::ActiveInvocation;
use super::early_exit::EarlyExits;
use super::logs::EnvironmentLog;
use super::pool::{EnvironmentCommand, Invocation, Pool, ResponseSender};
use super::process::{FunctionProcess, ProcessOutput};
use super::runtime_api::{CallStatus, NextReply, RuntimeApi, RuntimeCall};
use super::snapshot::LambdaCounters;
use super::variables::VERSION;
use super::{EarlyExit, EarlyExitCause, EnvironmentId, Function, InvokeError, LogSource};

mod active_invocation;

/// Time that AWS allows between the start of the process and its first `/next`.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a runtime that has reported an init error to write its last lines and exit, before it
/// is killed.
const INIT_ERROR_GRACE: Duration = Duration::from_millis(250);

/// Time that Lambda leaves between SIGTERM and SIGKILL if all extensions are internal.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);
/// Time limit for reading the last lines of a killed process. They are in the pipe already, so the
/// limit is reached only if a process has left the group and keeps the pipe open.
const FINAL_OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of lines that are logged before other events are handled, so that a function that
/// writes without pause still times out at its deadline.
const MAX_CONSECUTIVE_LINES: usize = 256;

/// State of a function that its environments share.
#[derive(Debug)]
pub(super) struct FunctionState {
    pub(super) function: Function,
    pub(super) pool: Pool,
    pub(super) counters: LambdaCounters,
    pub(super) early_exits: EarlyExits,
}

/// Reason for starting an environment.
#[derive(Debug)]
pub(super) enum StartReason {
    /// An event has arrived.
    Invocation(Invocation),
    /// A caller waits until the environment is initialised.
    Initialisation(ResponseSender),
}

impl StartReason {
    fn into_reply(self) -> ResponseSender {
        match self {
            Self::Invocation(Invocation { reply, .. }) | Self::Initialisation(reply) => reply,
        }
    }
}

/// Runs an environment from start to end.
pub(super) async fn run(
    id: EnvironmentId,
    state: Arc<FunctionState>,
    log: EnvironmentLog,
    commands: mpsc::UnboundedReceiver<EnvironmentCommand>,
    reason: StartReason,
) {
    // The slot frees the environment's place in the pool even after a panic: other callers wait for
    // it.
    let slot = PoolSlot::new(id, &state.pool);
    let pending = match StartedProcess::start(&state.function).await {
        Ok(started) => {
            EnvironmentTask::new(id, &state, log, commands, started)
                .run(reason)
                .await
        }
        Err(error) => {
            // The counter changes before the line is logged, here and below, because followers of
            // the log read the counters when a line arrives.
            state.counters.init_failed.increment();
            log.write(LogSource::Platform, &error.to_string());
            state.early_exits.send(EarlyExit {
                environment: id,
                cause: EarlyExitCause::InitFailed,
            });
            Some(PendingReply {
                reply: reason.into_reply(),
                error,
            })
        }
    };
    // The slot is dropped first, so that a caller that receives the error finds the process gone
    // and the slot free.
    drop(slot);
    if let Some(PendingReply { reply, error }) = pending {
        // An error means that the caller has gone away.
        let _ = reply.send(Err(error));
    }
}

/// Slot of an environment in the pool. Dropping it removes the environment.
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

/// A started process with its Runtime API and its output.
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
                message: format!("cannot listen on loopback for the Runtime API: {error}"),
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

/// An error, and the caller that still waits for a reply.
struct PendingReply {
    reply: ResponseSender,
    error: InvokeError,
}

/// A running environment.
struct EnvironmentTask<'a> {
    id: EnvironmentId,
    state: &'a FunctionState,
    log: EnvironmentLog,
    commands: mpsc::UnboundedReceiver<EnvironmentCommand>,
    api: RuntimeApi,
    process: FunctionProcess,
    output: ProcessOutput,
    /// Caller to notify once the environment is in the pool.
    initialised: Option<ResponseSender>,
    /// Cause of an early end.
    early_exit_cause: Option<EarlyExitCause>,
}

/// Event that the task handles.
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

    async fn run(mut self, reason: StartReason) -> Option<PendingReply> {
        let pending = self.serve_invocations(reason).await;
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
            // Sent last, because receivers look at the log of the environment.
            let environment = self.id;
            self.state
                .early_exits
                .send(EarlyExit { environment, cause });
        }
        pending
    }

    /// Initialises the environment and serves invocations until it must end.
    async fn serve_invocations(&mut self, reason: StartReason) -> Option<PendingReply> {
        let mut next = match self.initialise().await {
            Ok(next) => next,
            Err(error) => {
                if !matches!(error, InvokeError::ShutDown) {
                    self.record_early_exit(EarlyExitCause::InitFailed);
                }
                self.log_platform(&error.to_string());
                return Some(PendingReply {
                    reply: reason.into_reply(),
                    error,
                });
            }
        };
        let mut invocation = match reason {
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
                // The environment has not been offered to callers yet, so they cannot send it an
                // event.
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

    /// Freezes the process and waits for an event; returns `None` if the environment must end.
    async fn idle(&mut self, next: &mut NextReply) -> Option<Invocation> {
        let FunctionState {
            function,
            pool,
            counters,
            ..
        } = self.state;
        self.process.freeze();
        pool.mark_idle(self.id);
        // The caller is notified after the environment is in the pool, so that its next event uses
        // this environment.
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
                // These calls were made before the freeze took effect, or the function is never
                // frozen.
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
                // An event has claimed the environment at this moment, so its command has arrived
                // or is about to.
                EnvironmentEvent::TimedOut => return self.receive_claim().await,
            }
        }
    }

    /// Waits for an event; returns `None` if the environment must end. A registered extension then
    /// gets SIGTERM first.
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
                    let late = format!(
                        "process still running {SHUTDOWN_GRACE:?} after SIGTERM: killing it"
                    );
                    return self.log.write(LogSource::Platform, &late);
                }
                // The environment is shutting down, so calls and commands are ignored.
                EnvironmentEvent::Call(_) | EnvironmentEvent::Command(_) => {}
            }
        }
    }

    /// Waits for the command of the caller that has claimed the environment.
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

    /// Delivers an event and handles calls until the runtime polls for the next one or the
    /// environment must end.
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
                // An environment that is not idle cannot be claimed. Dropping the command sends the
                // caller to another environment.
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

    /// Handles a call during an invocation. Returns the pending `/next` if it ends the invocation.
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
                    // The pool is updated before the response is sent, so that a caller's next
                    // event waits for this environment.
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

    /// Counts the cause of an early end and keeps it for the notification.
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

    /// Logs the lines that have arrived already. The operating system may report a call before a
    /// line that was written just before it, so the output is polled once more.
    async fn log_available_lines(&mut self) {
        yield_now().await;
        for _ in 0..MAX_CONSECUTIVE_LINES {
            tokio::select! {
                biased;
                Some((source, line)) = self.output.next_line() => self.log.write(source, &line),
                () = ready(()) => return,
            }
        }
    }

    /// Returns the next event. If several are ready, the order below applies: lines are logged
    /// before the call that follows them, and a response that has arrived counts even if the
    /// process has exited or the deadline has passed since.
    async fn next_event(&mut self, until: Instant) -> EnvironmentEvent {
        let mut lines = 0;
        loop {
            tokio::select! {
                biased;
                Some(command) = self.commands.recv() => return EnvironmentEvent::Command(command),
                Some((source, line)) = self.output.next_line(), if lines < MAX_CONSECUTIVE_LINES => {
                    lines += 1;
                    self.log.write(source, &line);
                }
                Some(call) = self.api.calls.recv() => {
                    self.log_available_lines().await;
                    return EnvironmentEvent::Call(call);
                }
                reason = self.process.wait() => return EnvironmentEvent::Exited(reason),
                () = sleep_until(until) => return EnvironmentEvent::TimedOut,
                () = yield_now(), if lines == MAX_CONSECUTIVE_LINES => lines = 0,
            }
        }
    }
}

fn send_status(reply: oneshot::Sender<CallStatus>, status: CallStatus) {
    // An error means that the runtime has closed the connection.
    let _ = reply.send(status);
}
