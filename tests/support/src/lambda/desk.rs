//! Where invocations and the process's requests for them meet.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::FunctionError;

/// Between the caller of the function and its process.
#[derive(Debug)]
pub(super) struct Desk {
    state: Mutex<State>,
    start: watch::Sender<Option<Start>>,
    refuses_extensions: bool,
}

/// How the init phase ended.
#[derive(Debug, Clone)]
pub(super) enum Start {
    Ready(Instant),
    Failed(FunctionError),
}

#[derive(Debug, Default)]
struct State {
    /// Requests for an event that wait for one, the oldest first.
    polls: VecDeque<oneshot::Sender<Event>>,
    /// Invocations that wait for a request.
    calls: VecDeque<Call>,
    running: HashMap<String, Running>,
    /// Invocations that have been answered, and after which the process has not asked again.
    answered: VecDeque<oneshot::Sender<Instant>>,
    invocations: u64,
    extensions: Vec<String>,
}

#[derive(Debug)]
struct Call {
    event: Event,
    delivered: oneshot::Sender<Delivered>,
    running: Running,
}

#[derive(Debug)]
struct Running {
    done: oneshot::Sender<Done>,
    ready_again: oneshot::Sender<Instant>,
}

/// What the process gets.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) number: u64,
    pub(super) request_id: String,
    pub(super) limit: Duration,
    pub(super) payload: Bytes,
}

#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) request_id: String,
    pub(super) at: Instant,
}

#[derive(Debug)]
pub(super) struct Done {
    pub(super) at: Instant,
    pub(super) result: Result<Bytes, FunctionError>,
}

/// The stages of one invocation, to be awaited in this order.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) delivered: oneshot::Receiver<Delivered>,
    pub(super) done: oneshot::Receiver<Done>,
    pub(super) ready_again: oneshot::Receiver<Instant>,
}

impl Desk {
    pub(super) fn new(refuses_extensions: bool) -> Self {
        Self {
            state: Mutex::default(),
            start: watch::Sender::new(None),
            refuses_extensions,
        }
    }

    pub(super) async fn started(&self) -> Result<Start, watch::error::RecvError> {
        let mut start = self.start.subscribe();
        loop {
            if let Some(start) = start.borrow_and_update().clone() {
                return Ok(start);
            }
            start.changed().await?;
        }
    }

    /// Hands an invocation in.
    pub(super) fn call(&self, payload: Bytes, limit: Duration) -> Called {
        let (delivered, awaited_delivery) = oneshot::channel();
        let (done, awaited_response) = oneshot::channel();
        let (ready_again, awaited_poll) = oneshot::channel();
        let mut state = self.state();
        state.invocations += 1;
        let number = state.invocations;
        state.calls.push_back(Call {
            event: Event {
                number,
                request_id: format!("00000000-0000-4000-8000-{number:012x}"),
                limit,
                payload,
            },
            delivered,
            running: Running { done, ready_again },
        });
        state.deliver();
        Called {
            delivered: awaited_delivery,
            done: awaited_response,
            ready_again: awaited_poll,
        }
    }

    /// The process asks for an event.
    pub(super) fn poll(&self) -> oneshot::Receiver<Event> {
        let now = Instant::now();
        let (poll, event) = oneshot::channel();
        self.start.send_if_modified(|start| match start {
            None => {
                *start = Some(Start::Ready(now));
                true
            }
            Some(_) => false,
        });
        let mut state = self.state();
        if let Some(ready_again) = state.answered.pop_front() {
            let _ = ready_again.send(now);
        }
        state.polls.push_back(poll);
        state.deliver();
        event
    }

    /// The process has answered an invocation; `false` when there is none of this id.
    pub(super) fn done(&self, request_id: &str, result: Result<Bytes, FunctionError>) -> bool {
        let at = Instant::now();
        let mut state = self.state();
        let Some(running) = state.running.remove(request_id) else {
            return false;
        };
        state.answered.push_back(running.ready_again);
        // Whoever called has perhaps given up.
        let _ = running.done.send(Done { at, result });
        true
    }

    pub(super) fn init_failed(&self, error: FunctionError) {
        self.start.send_replace(Some(Start::Failed(error)));
    }

    /// `false` when none is taken.
    pub(super) fn register_extension(&self, name: String) -> bool {
        if !self.refuses_extensions {
            self.state().extensions.push(name);
        }
        !self.refuses_extensions
    }

    pub(super) fn extensions(&self) -> Vec<String> {
        self.state().extensions.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives waiting invocations to waiting requests.
    fn deliver(&mut self) {
        while !self.calls.is_empty()
            && let Some(poll) = self.polls.pop_front()
        {
            // A request whose connection is gone takes nothing.
            if poll.is_closed() {
                continue;
            }
            let Some(call) = self.calls.pop_front() else {
                return;
            };
            let request_id = call.event.request_id.clone();
            self.running.insert(request_id.clone(), call.running);
            let at = Instant::now();
            let _ = call.delivered.send(Delivered { request_id, at });
            let _ = poll.send(call.event);
        }
    }
}
