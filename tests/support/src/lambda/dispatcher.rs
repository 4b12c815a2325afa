//! Matches invocations with the process's requests for them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::FunctionError;

/// The state that the callers of a function share with the Runtime API of its process.
#[derive(Debug)]
pub(super) struct Dispatcher {
    state: Mutex<DispatcherState>,
    init: watch::Sender<Option<InitResult>>,
    rejects_extensions: bool,
}

/// The end of the init phase: the time of the first request for an event, or the reported error.
pub(super) type InitResult = Result<Instant, FunctionError>;

#[derive(Debug, Default)]
struct DispatcherState {
    /// Requests of the process for an event, the oldest first.
    polls: VecDeque<oneshot::Sender<InvocationEvent>>,
    /// Invocations that wait for a request of the process, the oldest first.
    queued: VecDeque<QueuedInvocation>,
    /// Invocations that the process works on, by request id.
    running: HashMap<String, RunningInvocation>,
    /// Invocations with a response, which wait for the process to poll for another event.
    responded: VecDeque<oneshot::Sender<Instant>>,
    invocation_count: u64,
    extensions: Vec<String>,
}

#[derive(Debug)]
struct QueuedInvocation {
    event: InvocationEvent,
    delivery: oneshot::Sender<Delivery>,
    running: RunningInvocation,
}

#[derive(Debug)]
struct RunningInvocation {
    completion: oneshot::Sender<Completion>,
    ready_again: oneshot::Sender<Instant>,
}

/// The content of a response to a request for an event.
#[derive(Debug, Clone)]
pub(super) struct InvocationEvent {
    pub(super) number: u64,
    pub(super) request_id: String,
    pub(super) limit: Duration,
    pub(super) payload: Bytes,
}

/// The delivery of an event to the process.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) request_id: String,
    pub(super) at: Instant,
}

/// The response or error that the process sent for an invocation.
#[derive(Debug)]
pub(super) struct Completion {
    pub(super) at: Instant,
    pub(super) result: Result<Bytes, FunctionError>,
}

/// The stages of one invocation in the order in which they occur.
#[derive(Debug)]
pub(super) struct Stages {
    pub(super) delivery: oneshot::Receiver<Delivery>,
    pub(super) completion: oneshot::Receiver<Completion>,
    pub(super) ready_again: oneshot::Receiver<Instant>,
}

impl Dispatcher {
    pub(super) fn new(rejects_extensions: bool) -> Self {
        Self {
            state: Mutex::default(),
            init: watch::Sender::new(None),
            rejects_extensions,
        }
    }

    /// Waits for the end of the init phase.
    pub(super) async fn init_result(&self) -> Result<InitResult, watch::error::RecvError> {
        let mut init = self.init.subscribe();
        loop {
            if let Some(result) = init.borrow_and_update().clone() {
                return Ok(result);
            }
            init.changed().await?;
        }
    }

    /// Queues an invocation.
    pub(super) fn invoke(&self, payload: Bytes, limit: Duration) -> Stages {
        let (delivery_sender, delivery) = oneshot::channel();
        let (completion_sender, completion) = oneshot::channel();
        let (ready_sender, ready_again) = oneshot::channel();
        let mut state = self.state();
        state.invocation_count += 1;
        let number = state.invocation_count;
        state.queued.push_back(QueuedInvocation {
            event: InvocationEvent {
                number,
                request_id: format!("00000000-0000-4000-8000-{number:012x}"),
                limit,
                payload,
            },
            delivery: delivery_sender,
            running: RunningInvocation {
                completion: completion_sender,
                ready_again: ready_sender,
            },
        });
        state.deliver();
        Stages {
            delivery,
            completion,
            ready_again,
        }
    }

    /// Registers a request of the process for an event.
    pub(super) fn poll(&self) -> oneshot::Receiver<InvocationEvent> {
        let now = Instant::now();
        let (poll, event) = oneshot::channel();
        self.init.send_if_modified(|init| {
            let is_first = init.is_none();
            init.get_or_insert(Ok(now));
            is_first
        });
        let mut state = self.state();
        if let Some(ready_again) = state.responded.pop_front() {
            let _ = ready_again.send(now);
        }
        state.polls.push_back(poll);
        state.deliver();
        event
    }

    /// Completes an invocation. Returns `false` if no running invocation has this id.
    pub(super) fn complete(&self, request_id: &str, result: Result<Bytes, FunctionError>) -> bool {
        let at = Instant::now();
        let mut state = self.state();
        let Some(running) = state.running.remove(request_id) else {
            return false;
        };
        state.responded.push_back(running.ready_again);
        // Fails if the caller timed out.
        let _ = running.completion.send(Completion { at, result });
        true
    }

    pub(super) fn fail_init(&self, error: FunctionError) {
        self.init.send_replace(Some(Err(error)));
    }

    /// Registers an extension. Returns `false` if this fake rejects extensions.
    pub(super) fn register_extension(&self, name: String) -> bool {
        if !self.rejects_extensions {
            self.state().extensions.push(name);
        }
        !self.rejects_extensions
    }

    pub(super) fn extensions(&self) -> Vec<String> {
        self.state().extensions.clone()
    }

    fn state(&self) -> MutexGuard<'_, DispatcherState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DispatcherState {
    /// Hands queued invocations to waiting requests.
    fn deliver(&mut self) {
        while !self.queued.is_empty()
            && let Some(poll) = self.polls.pop_front()
        {
            // The connection of this request is gone, and an event sent to it would be lost.
            if poll.is_closed() {
                continue;
            }
            let Some(invocation) = self.queued.pop_front() else {
                return;
            };
            let request_id = invocation.event.request_id.clone();
            self.running.insert(request_id.clone(), invocation.running);
            let at = Instant::now();
            let _ = invocation.delivery.send(Delivery { request_id, at });
            let _ = poll.send(invocation.event);
        }
    }
}
