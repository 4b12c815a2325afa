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

use self::{booted::Booted, place::Place, running::Running};
use super::{
    EarlyEnd, EnvironmentId, Function, InvokeError, LogSource, Trouble,
    early_end::EarlyEnds,
    logs::EnvironmentLog,
    pool::{Command, Invocation, Pool, ResponseSender},
    process::{Output, Process},
    runtime_api::{Call, Event, RuntimeApi, Verdict},
    snapshot::Counters,
    variables::VERSION,
};

mod announced;
mod booted;
mod place;
mod running;
mod untimely;

/// What AWS allows a function between its start and its first `/next`.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// A runtime that has reported an init error ends by itself; this is for its last words before it
/// is killed.
const INIT_ERROR_GRACE: Duration = Duration::from_millis(250);

/// How long the last lines of a killed process may take to be read. They are in the pipe already,
/// so this is never waited out unless a process has left the group and keeps the pipe open.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How many lines are logged before anything else gets its turn, so that a function that never
/// stops writing still meets its deadline.
const LINES_IN_A_ROW: usize = 256;

/// What an environment needs to know about the function it belongs to.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) function: Function,
    pub(super) pool: Pool,
    pub(super) counters: Counters,
    pub(super) early_ends: EarlyEnds,
}

/// The reason why an environment is started.
#[derive(Debug)]
pub(super) enum First {
    /// An event has arrived.
    Event(Invocation),
    /// A caller waits until the environment has initialised.
    Nothing(ResponseSender),
}

impl First {
    fn into_reply(self) -> ResponseSender {
        match self {
            Self::Event(Invocation { reply, .. }) | Self::Nothing(reply) => reply,
        }
    }
}

/// Runs an environment from its start to its end.
pub(super) async fn run(
    id: EnvironmentId,
    surroundings: Arc<Surroundings>,
    log: EnvironmentLog,
    commands: mpsc::UnboundedReceiver<Command>,
    first: First,
) {
    // Whatever happens below, a panic included, the environment leaves the pool: others wait for
    // its place.
    let place = Place::of(id, &surroundings.pool);
    let last_words = match Booted::boot(&surroundings.function).await {
        Ok(booted) => {
            Sandbox::new(id, &surroundings, log, commands, booted)
                .live(first)
                .await
        }
        Err(error) => {
            // Counted before it is logged, here as below: whoever follows the log looks at the
            // counters when a line comes.
            surroundings.counters.init_failed.increment();
            log.write(LogSource::Platform, &error.to_string());
            surroundings.early_ends.tell(EarlyEnd {
                environment: id,
                trouble: Trouble::CannotStart,
            });
            Some(LastWords {
                reply: first.into_reply(),
                error,
            })
        }
    };
    // In this order, so that a caller who hears of the end finds no process left and the place
    // free.
    drop(place);
    if let Some(LastWords { reply, error }) = last_words {
        // An error says that the caller has gone away.
        let _ = reply.send(Err(error));
    }
}

/// What is left to say to the caller of an environment that ended with its event.
struct LastWords {
    reply: ResponseSender,
    error: InvokeError,
}

struct Sandbox<'a> {
    id: EnvironmentId,
    surroundings: &'a Surroundings,
    log: EnvironmentLog,
    commands: mpsc::UnboundedReceiver<Command>,
    api: RuntimeApi,
    process: Process,
    output: Output,
    /// Senders to notify once it has initialised.
    initialised: Option<ResponseSender>,
    /// What ends it before its time.
    trouble: Option<Trouble>,
}

/// The runtime's open `/next`.
type NextReply = oneshot::Sender<Event>;

/// Whatever can happen to an environment.
enum Happening {
    Called(Call),
    Told(Command),
    Exited(String),
    Elapsed,
}

impl<'a> Sandbox<'a> {
    fn new(
        id: EnvironmentId,
        surroundings: &'a Surroundings,
        log: EnvironmentLog,
        commands: mpsc::UnboundedReceiver<Command>,
        booted: Booted,
    ) -> Self {
        let Booted {
            api,
            process,
            output,
        } = booted;
        surroundings.counters.started.increment();
        surroundings.pool.started(id, process.id());
        Self {
            id,
            surroundings,
            log,
            commands,
            api,
            process,
            output,
            initialised: None,
            trouble: None,
        }
    }

    async fn live(mut self, first: First) -> Option<LastWords> {
        let last_words = self.until_the_end(first).await;
        self.surroundings.pool.ending(self.id);
        self.process.kill().await;
        let (log, mut output) = (self.log, self.output);
        let _ = timeout(LAST_LINES, async {
            while let Some((source, line)) = output.line().await {
                log.write(source, &line);
            }
        })
        .await;
        if let Some(trouble) = self.trouble {
            // Only now: who hears of it looks at what it wrote.
            let environment = self.id;
            self.surroundings.early_ends.tell(EarlyEnd {
                environment,
                trouble,
            });
        }
        last_words
    }

    async fn until_the_end(&mut self, first: First) -> Option<LastWords> {
        let mut next = match self.initialise().await {
            Ok(next) => next,
            Err(error) => {
                if !matches!(error, InvokeError::ShutDown) {
                    self.ends_early(Trouble::CannotStart);
                }
                self.platform(&error.to_string());
                return Some(LastWords {
                    reply: first.into_reply(),
                    error,
                });
            }
        };
        let mut invocation = match first {
            First::Event(invocation) => invocation,
            First::Nothing(reply) => {
                self.initialised = Some(reply);
                self.next_event(&mut next).await?
            }
        };
        loop {
            next = match self.serve(invocation, next).await {
                Ok(next) => next,
                Err(last_words) => return last_words,
            };
            invocation = self.next_event(&mut next).await?;
        }
    }

    /// Waits for the first `/next`.
    async fn initialise(&mut self) -> Result<NextReply, InvokeError> {
        let until = Instant::now() + INIT_TIMEOUT;
        loop {
            match self.happening(until).await {
                Happening::Called(Call::Next { reply }) => return Ok(reply),
                Happening::Called(Call::Done { reply, .. }) => answer(reply, Verdict::OutOfTurn),
                Happening::Called(Call::InitError { failure, reply }) => {
                    answer(reply, Verdict::Accepted);
                    let _ = timeout(INIT_ERROR_GRACE, self.process.exited()).await;
                    return Err(InvokeError::Init {
                        error_type: failure.error_type,
                        message: failure.message,
                    });
                }
                // The event that it was started for is with us, so it is in nobody's reach.
                Happening::Told(Command::Invoke(_) | Command::Offer) => {}
                Happening::Told(Command::Kill) => return Err(self.cut_off()),
                Happening::Exited(message) => {
                    return Err(InvokeError::Init {
                        error_type: "Runtime.ExitError".to_owned(),
                        message,
                    });
                }
                Happening::Elapsed => {
                    return Err(InvokeError::InitTimedOut {
                        after: INIT_TIMEOUT,
                    });
                }
            }
        }
    }

    /// Freezes the process and waits for an event; `None` when the environment is to end.
    async fn idle(&mut self, next: &mut NextReply) -> Option<Invocation> {
        let Surroundings {
            function,
            pool,
            counters,
            ..
        } = self.surroundings;
        self.process.freeze();
        pool.idle(self.id);
        // Notified only now, so that an event sent in response reuses this environment.
        if let Some(reply) = self.initialised.take() {
            let _ = reply.send(Ok(Bytes::new()));
        }
        let until = Instant::now() + function.idle_after;
        loop {
            match self.happening(until).await {
                Happening::Told(Command::Invoke(invocation)) => return Some(invocation),
                Happening::Told(Command::Offer) => pool.idle(self.id),
                Happening::Told(Command::Kill) => {
                    counters.killed.increment();
                    return None;
                }
                // Sent before the freeze took hold, or from an environment that is never frozen.
                Happening::Called(Call::Next { reply }) => *next = reply,
                Happening::Called(Call::Done { reply, .. }) => {
                    answer(reply, Verdict::UnknownRequest)
                }
                Happening::Called(Call::InitError { reply, .. }) => {
                    answer(reply, Verdict::OutOfTurn)
                }
                Happening::Exited(reason) => {
                    self.ends_early(Trouble::Died);
                    self.platform(&reason);
                    return None;
                }
                Happening::Elapsed if pool.withdraw(self.id) => {
                    counters.reaped.increment();
                    return None;
                }
                // An event has claimed the environment at this very moment: its command is the next
                // thing to happen, or already there.
                Happening::Elapsed => return self.claimed().await,
            }
        }
    }

    /// Waits for the command of whoever has claimed the environment.
    async fn claimed(&mut self) -> Option<Invocation> {
        match self.commands.recv().await {
            Some(Command::Invoke(invocation)) => Some(invocation),
            // The idle time is over and there is no event, so the environment ends.
            Some(Command::Offer) => None,
            Some(Command::Kill) | None => {
                self.surroundings.counters.killed.increment();
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
    ) -> Result<NextReply, Option<LastWords>> {
        let timeout = self.surroundings.function.timeout;
        let until = Instant::now() + timeout;
        let mut running = self.begin(invocation, SystemTime::now() + timeout);
        running.hand_out(next);
        loop {
            let error = match self.happening(until).await {
                Happening::Called(call) => match self.called(call, &mut running) {
                    Some(next) => return Ok(next),
                    None => continue,
                },
                // Nobody can claim an environment that is not idle; if it were so, the caller would
                // find another one.
                Happening::Told(Command::Invoke(_) | Command::Offer) => continue,
                Happening::Told(Command::Kill) => self.cut_off(),
                Happening::Exited(reason) => self.exited(&running, reason),
                Happening::Elapsed => self.timed_out(&running),
            };
            self.platform(&error.to_string());
            self.report(&running);
            return Err(running.into_reply().map(|reply| LastWords { reply, error }));
        }
    }

    /// Answers a call that comes during an invocation. Returns the open `/next` that ends it.
    fn called(&mut self, call: Call, running: &mut Running) -> Option<NextReply> {
        match call {
            Call::Next { reply } => {
                let finished = running.asked_next(reply)?;
                self.report(running);
                return Some(finished);
            }
            Call::Done {
                request_id,
                result,
                reply,
            } => {
                let verdict = running.judge(&request_id);
                if verdict == Verdict::Accepted {
                    // First this, then the response: a caller who comes back at once is to find the
                    // environment about to be free.
                    self.surroundings.pool.finishing(self.id);
                    running.respond(result.map_err(InvokeError::from));
                }
                answer(reply, verdict);
            }
            Call::InitError { reply, .. } => answer(reply, Verdict::OutOfTurn),
        }
        None
    }

    fn begin(&mut self, invocation: Invocation, deadline: SystemTime) -> Running {
        let running = Running::new(invocation, self.surroundings.function.arn(), deadline);
        self.process.thaw();
        self.surroundings.pool.running(self.id);
        self.log.begin(&running.request_id);
        self.platform(&format!(
            "START RequestId: {} Version: {VERSION}",
            running.request_id
        ));
        running
    }

    fn report(&self, running: &Running) {
        let request_id = &running.request_id;
        let milliseconds = running.elapsed().as_secs_f64() * 1e3;
        let memory_mb = self.surroundings.function.memory_mb;
        self.platform(&format!("END RequestId: {request_id}"));
        self.platform(&format!(
            "REPORT RequestId: {request_id}\tDuration: {milliseconds:.2} ms\tMemory Size: {memory_mb} MB"
        ));
    }

    fn platform(&self, text: &str) {
        self.log.write(LogSource::Platform, text);
    }

    /// Logs the lines that are there already. The system may tell of a call before it tells of a
    /// line that was written just before it, so it is asked once more.
    async fn catch_up(&mut self) {
        yield_now().await;
        for _ in 0..LINES_IN_A_ROW {
            tokio::select! {
                biased;
                Some((source, line)) = self.output.line() => self.log.write(source, &line),
                () = ready(()) => return,
            }
        }
    }

    /// The next thing that happens. In this order when several have: lines are logged before the
    /// call that they precede takes effect, and an answer that has arrived counts, even if the
    /// process has ended since or the deadline has passed with it.
    async fn happening(&mut self, until: Instant) -> Happening {
        let mut lines = 0;
        loop {
            tokio::select! {
                biased;
                Some(command) = self.commands.recv() => return Happening::Told(command),
                Some((source, line)) = self.output.line(), if lines < LINES_IN_A_ROW => {
                    lines += 1;
                    self.log.write(source, &line);
                }
                Some(call) = self.api.calls.recv() => {
                    self.catch_up().await;
                    return Happening::Called(call);
                }
                reason = self.process.exited() => return Happening::Exited(reason),
                () = sleep_until(until) => return Happening::Elapsed,
                () = yield_now(), if lines == LINES_IN_A_ROW => lines = 0,
            }
        }
    }
}

fn answer(reply: oneshot::Sender<Verdict>, verdict: Verdict) {
    // An error says that the runtime has hung up.
    let _ = reply.send(verdict);
}
