//! The environments that exist, and which of them are free. This is the only state that
//! environments share; its lock is never held across an await.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::{EnvironmentId, EnvironmentSnapshot, InvokeError, Phase};

/// Time that an event waits for an environment that has responded but has not yet polled for its
/// next event, before a new environment is started. On AWS the response takes about as long to
/// reach the caller, so a caller that sends one event at a time keeps getting the same environment
/// there too.
const REUSE_GRACE: Duration = Duration::from_millis(20);

/// An event and the channel for its response.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) payload: Bytes,
    pub(super) reply: ResponseSender,
}

/// Channel to the waiting caller. If it is dropped without a response, the caller tries another
/// environment.
pub(super) type ResponseSender = oneshot::Sender<Result<Bytes, InvokeError>>;

/// Command to the task of an environment.
#[derive(Debug)]
pub(super) enum EnvironmentCommand {
    Invoke(Invocation),
    /// Go back to the pool without an event.
    ReturnToPool,
    Kill,
}

/// An environment reserved for one caller.
#[derive(Debug)]
pub(super) enum Claim {
    /// An environment that waits for an event.
    Warm(mpsc::UnboundedSender<EnvironmentCommand>),
    /// Number and command channel of an environment that the caller must start.
    Cold(EnvironmentId, mpsc::UnboundedReceiver<EnvironmentCommand>),
}

/// Reason why no environment is available.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ClaimError {
    AllBusy,
    ShutDown,
}

#[derive(Debug)]
pub(super) struct Pool {
    capacity: usize,
    state: Mutex<PoolState>,
    /// Notified when a waiting claim might succeed, and when an environment is gone.
    changed: Notify,
}

#[derive(Debug, Default)]
struct PoolState {
    environments: BTreeMap<EnvironmentId, PooledEnvironment>,
    /// Free environments. The one used last is at the end and is taken first, so that the others
    /// become idle for long enough to be reaped.
    idle: Vec<EnvironmentId>,
    last_id: u64,
    shut_down: bool,
}

#[derive(Debug)]
struct PooledEnvironment {
    commands: mpsc::UnboundedSender<EnvironmentCommand>,
    phase: Phase,
    pid: Option<u32>,
    invocations: u64,
}

enum ClaimAttempt {
    Claimed(Claim),
    Failed(ClaimError),
    /// An environment is about to become free, or to leave the pool.
    Wait,
}

impl Pool {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Claims a free environment, or the right to start a new one. Waits only for environments that
    /// have responded already or are being killed.
    pub(super) async fn claim(&self) -> Result<Claim, ClaimError> {
        let reuse_deadline = Instant::now() + REUSE_GRACE;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before the state is read, so that no change in between is missed.
            changed.as_mut().enable();
            let may_wait = Instant::now() < reuse_deadline;
            match self.try_claim(may_wait) {
                ClaimAttempt::Claimed(claim) => return Ok(claim),
                ClaimAttempt::Failed(error) => return Err(error),
                ClaimAttempt::Wait if may_wait => drop(timeout_at(reuse_deadline, changed).await),
                ClaimAttempt::Wait => changed.await,
            }
        }
    }

    fn try_claim(&self, may_wait: bool) -> ClaimAttempt {
        let mut state = self.lock();
        if state.shut_down {
            return ClaimAttempt::Failed(ClaimError::ShutDown);
        }
        while let Some(id) = state.idle.pop() {
            if let Some(entry) = state.environments.get_mut(&id) {
                entry.phase = Phase::Running;
                return ClaimAttempt::Claimed(Claim::Warm(entry.commands.clone()));
            }
        }
        if state.environments.len() < self.capacity {
            if may_wait && state.has_any_in(&[Phase::Finishing]) {
                return ClaimAttempt::Wait;
            }
            return ClaimAttempt::Claimed(state.reserve());
        }
        if state.has_any_in(&[Phase::Finishing, Phase::Terminating]) {
            ClaimAttempt::Wait
        } else {
            ClaimAttempt::Failed(ClaimError::AllBusy)
        }
    }

    /// Records the process id of a started environment.
    pub(super) fn set_pid(&self, id: EnvironmentId, pid: Option<u32>) {
        if let Some(entry) = self.lock().environments.get_mut(&id) {
            entry.pid = pid;
        }
    }

    /// Records that the environment has received an event.
    pub(super) fn mark_running(&self, id: EnvironmentId) {
        if let Some(entry) = self.lock().environments.get_mut(&id) {
            entry.phase = Phase::Running;
            entry.invocations += 1;
        }
    }

    /// Records that the environment has responded and will soon poll for its next event.
    pub(super) fn mark_finishing(&self, id: EnvironmentId) {
        if let Some(entry) = self.lock().environments.get_mut(&id) {
            entry.phase = Phase::Finishing;
        }
    }

    /// Records that the environment is being killed.
    pub(super) fn mark_terminating(&self, id: EnvironmentId) {
        self.lock().mark_terminating(id);
        self.changed.notify_waiters();
    }

    /// Makes the environment available to the next event.
    pub(super) fn mark_idle(&self, id: EnvironmentId) {
        {
            let mut state = self.lock();
            if let Some(entry) = state.environments.get_mut(&id) {
                entry.phase = Phase::Idle;
                state.idle.push(id);
            }
        }
        self.changed.notify_waiters();
    }

    /// Makes an idle environment unavailable. Returns false if an event has already claimed it: the
    /// command for that event is on its way.
    pub(super) fn withdraw(&self, id: EnvironmentId) -> bool {
        let mut state = self.lock();
        let offered = state.idle.iter().position(|idle| *idle == id);
        if let Some(position) = offered {
            state.idle.remove(position);
            state.mark_terminating(id);
        }
        offered.is_some()
    }

    /// Removes an environment whose process has exited.
    pub(super) fn remove(&self, id: EnvironmentId) {
        {
            let mut state = self.lock();
            state.idle.retain(|idle| *idle != id);
            state.environments.remove(&id);
        }
        self.changed.notify_waiters();
    }

    /// Kills every idle environment and returns when all of them are gone.
    pub(super) async fn kill_idle(&self) {
        let killed = {
            let mut state = self.lock();
            let killed = std::mem::take(&mut state.idle);
            for id in &killed {
                state.kill(*id);
            }
            killed
        };
        self.wait_until(|state| killed.iter().all(|id| !state.environments.contains_key(id)))
            .await;
    }

    /// Rejects new events and kills every environment, busy or not.
    pub(super) fn shut_down(&self) {
        {
            let mut state = self.lock();
            state.shut_down = true;
            state.idle.clear();
            let all: Vec<_> = state.environments.keys().copied().collect();
            for id in all {
                state.kill(id);
            }
        }
        self.changed.notify_waiters();
    }

    /// Waits until no environment is left.
    pub(super) async fn wait_until_empty(&self) {
        self.wait_until(|state| state.environments.is_empty()).await;
    }

    pub(super) fn snapshot(&self) -> Vec<EnvironmentSnapshot> {
        let state = self.lock();
        let environments = state.environments.iter();
        environments
            .map(|(id, entry)| EnvironmentSnapshot {
                id: *id,
                phase: entry.phase,
                pid: entry.pid,
                invocations: entry.invocations,
            })
            .collect()
    }

    async fn wait_until(&self, reached: impl Fn(&PoolState) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if reached(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        // Every change is a single step, so a panic of another thread leaves a consistent state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolState {
    fn has_any_in(&self, phases: &[Phase]) -> bool {
        self.environments
            .values()
            .any(|entry| phases.contains(&entry.phase))
    }

    fn reserve(&mut self) -> Claim {
        self.last_id += 1;
        let id = EnvironmentId(self.last_id);
        let (commands, receiver) = mpsc::unbounded_channel();
        let entry = PooledEnvironment {
            commands,
            phase: Phase::Starting,
            pid: None,
            invocations: 0,
        };
        self.environments.insert(id, entry);
        Claim::Cold(id, receiver)
    }

    fn kill(&mut self, id: EnvironmentId) {
        self.mark_terminating(id);
        if let Some(entry) = self.environments.get(&id) {
            // An error means that the task has ended already.
            let _ = entry.commands.send(EnvironmentCommand::Kill);
        }
    }

    fn mark_terminating(&mut self, id: EnvironmentId) {
        if let Some(entry) = self.environments.get_mut(&id) {
            entry.phase = Phase::Terminating;
        }
    }
}
