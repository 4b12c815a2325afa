//! The tasks that send the messages of the buffer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::Client;
use opentelemetry::Context;
use opentelemetry::trace::FutureExt as _;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::buffer::{Buffer, LingerPolicy};
use super::call::{EntryResult, send_batch};
use super::call_span;
use super::capacity::Capacity;
use super::config::GatherConfig;
use super::entry::{Entry, EntryOutcome};
use super::settlement::{Settlement, SettlementRules};
use super::unsent::UnsentMessage;
use super::waiting_messages::WaitingMessages;
use crate::error::QueueSendError;
use crate::queue::QueueUrl;
use crate::span::TracedCall;
use crate::stated_size_limit::StatedSizeLimit;
use crate::tracer::SharedTracer;

/// Time for the tasks of calls in flight to end after the deadline of `close`.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends the messages of one sender. No task runs while there are none.
#[derive(Debug)]
pub(super) struct Dispatcher {
    pub(super) config: GatherConfig,
    pub(super) capacity: Capacity,
    client: Client,
    pub(super) queue: QueueUrl,
    pub(super) tracer: SharedTracer,
    pub(super) limit: StatedSizeLimit,
    state: Mutex<State>,
    /// Notified when a closed sender has no message left.
    idle: Notify,
    /// `true` once the calls in flight must end.
    is_aborted: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    buffer: Buffer,
    /// Time at which the timer task wakes, if there is one.
    timer_at: Option<Instant>,
    /// Messages that were not sent, once the sender is closed.
    unsent: Vec<UnsentMessage>,
}

/// Tasks to start after a change of the state.
#[derive(Debug, Default)]
struct Work {
    batches: Vec<Vec<Entry>>,
    timer_at: Option<Instant>,
}

impl Work {
    fn into_tasks(self, dispatcher: &Arc<Dispatcher>) -> (Vec<InFlightBatch>, Option<Timer>) {
        let batches = self.batches.into_iter();
        let batches = batches.map(|entries| InFlightBatch::new(dispatcher, entries));
        let timer = self.timer_at.map(|at| Timer {
            dispatcher: Arc::clone(dispatcher),
            at,
        });
        (batches.collect(), timer)
    }
}

impl State {
    /// Determines the tasks to start now.
    fn advance(&mut self, now: Instant) -> Work {
        let mut batches = Vec::new();
        while let Some(batch) = self.buffer.next_batch(now) {
            batches.push(batch);
        }
        let wakeup = self.buffer.next_wakeup();
        // A timer whose time has passed may belong to a runtime that is not driven.
        let armed = self.timer_at.filter(|armed| *armed > now);
        let is_earlier = |at: &Instant| armed.is_none_or(|armed| *at < armed);
        let timer_at = wakeup.filter(is_earlier);
        self.timer_at = timer_at.or(self.timer_at);
        Work { batches, timer_at }
    }

    /// Fails the messages that follow a failed one in its group once the sender is closed, so that
    /// the caller of `close` can send all of them again in their order.
    fn fail_rest_of_group(&mut self, entry: &Entry) -> Vec<(Entry, EntryOutcome)> {
        if !self.buffer.is_closed() {
            return Vec::new();
        }
        let rest = self.buffer.drain_group(entry.group()).into_iter();
        rest.map(|entry| {
            self.keep_unsent(&entry, &QueueSendError::Closed);
            (entry, Err(QueueSendError::Closed))
        })
        .collect()
    }

    /// Keeps a message for the caller of `close`, unless its send was dropped.
    fn keep_unsent(&mut self, entry: &Entry, error: &QueueSendError) {
        if self.buffer.is_closed() && !entry.is_abandoned() {
            self.unsent.push(UnsentMessage {
                message: entry.traced.message.clone(),
                error: error.clone(),
            });
        }
    }
}

impl Dispatcher {
    pub(super) fn new(
        client: Client,
        queue: QueueUrl,
        tracer: SharedTracer,
        limit: StatedSizeLimit,
        config: GatherConfig,
    ) -> Self {
        let waiting = if queue.is_fifo() {
            WaitingMessages::fifo(config.group_order)
        } else {
            WaitingMessages::standard()
        };
        Self {
            state: Mutex::new(State {
                buffer: Buffer::new(waiting, &config),
                timer_at: None,
                unsent: Vec::new(),
            }),
            capacity: Capacity::new(config.buffer_messages, config.buffer_bytes),
            client,
            queue,
            tracer,
            limit,
            config,
            idle: Notify::new(),
            is_aborted: watch::Sender::new(false),
        }
    }

    /// Adds a message to the buffer, and returns its position in the order of arrival.
    pub(super) fn submit(
        self: &Arc<Self>,
        entry: Entry,
        policy: LingerPolicy,
    ) -> Result<u64, QueueSendError> {
        let runtime = Handle::try_current().map_err(|_| QueueSendError::NoRuntime)?;
        let (sequence, work) = {
            let now = Instant::now();
            let mut state = self.lock();
            let pushed = state.buffer.push(entry, policy, now);
            let sequence = pushed.map_err(|_| QueueSendError::Closed)?;
            (sequence, state.advance(now))
        };
        self.start(&runtime, work);
        Ok(sequence)
    }

    /// Removes a message whose caller has gone away, and frees its room. Returns `false` for a
    /// message in flight, which keeps its room until its call ends.
    pub(super) fn discard(self: &Arc<Self>, group: &str, sequence: u64) -> bool {
        let removed = {
            let mut state = self.lock();
            let removed = state.buffer.remove(group, sequence);
            self.notify_if_idle(&state);
            removed
        };
        // The others of its group may have waited for it.
        if removed.is_some() {
            self.resume();
        }
        // Dropped only now, because it frees the room, which wakes the senders that wait for it.
        removed.is_some()
    }

    /// Starts the calls that are due. A caller that has waited long does this, because the task
    /// that should have started them may belong to a runtime that has stopped.
    pub(super) fn resume(self: &Arc<Self>) {
        if let Ok(runtime) = Handle::try_current() {
            let work = self.lock().advance(Instant::now());
            self.start(&runtime, work);
        }
    }

    /// Sends the messages that wait for others.
    pub(super) fn flush(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let work = {
            let now = Instant::now();
            let mut state = self.lock();
            state.buffer.flush(now);
            state.advance(now)
        };
        self.start(&runtime, work);
    }

    /// Accepts no more messages, sends those that are in the buffer once, and returns the ones that
    /// were not sent by the deadline.
    pub(super) async fn close(self: &Arc<Self>, deadline: Instant) -> Vec<UnsentMessage> {
        self.capacity.close();
        let work = {
            let now = Instant::now();
            let mut state = self.lock();
            state.buffer.close(now);
            state.advance(now)
        };
        if let Ok(runtime) = Handle::try_current() {
            self.start(&runtime, work);
            let idle = tokio::time::timeout_at(deadline, self.wait_until_idle());
            if idle.await.is_err() {
                self.fail_waiting();
                self.is_aborted.send_replace(true);
                // The calls end as soon as their tasks are polled. Those of a runtime that is not
                // driven never do.
                let _ = tokio::time::timeout(ABORT_TIMEOUT, self.wait_until_idle()).await;
            }
        } else {
            drop(work.into_tasks(self));
            self.fail_waiting();
        }
        std::mem::take(&mut self.lock().unsent)
    }

    async fn wait_until_idle(&self) {
        loop {
            let notified = self.idle.notified();
            if self.lock().buffer.is_idle() {
                return;
            }
            notified.await;
        }
    }

    fn start(self: &Arc<Self>, runtime: &Handle, work: Work) {
        let (batches, timer) = work.into_tasks(self);
        for batch in batches {
            runtime.spawn(send_batches(batch));
        }
        if let Some(timer) = timer {
            runtime.spawn(wake_at(timer));
        }
    }

    /// Fails all messages that are not in flight.
    fn fail_waiting(&self) {
        let entries = {
            let mut state = self.lock();
            let entries = state.buffer.drain();
            for entry in &entries {
                state.keep_unsent(entry, &QueueSendError::Closed);
            }
            entries
        };
        for entry in entries {
            entry.finish(Err(QueueSendError::Closed));
        }
    }

    /// Records the end of a call and the decisions about its messages.
    fn end_call(self: &Arc<Self>, entries: Vec<(Entry, Settlement)>) -> Work {
        let mut finished = Vec::with_capacity(entries.len());
        // Dropped after the lock was released, because this wakes the senders that wait for room.
        let mut abandoned = Vec::new();
        let work = {
            let now = Instant::now();
            let mut state = self.lock();
            for (entry, settlement) in entries {
                match settlement {
                    Settlement::Finish(outcome) => {
                        if let Err(error) = &outcome {
                            state.keep_unsent(&entry, error);
                            finished.extend(state.fail_rest_of_group(&entry));
                        }
                        state.buffer.settle(entry.group());
                        finished.push((entry, outcome));
                    }
                    // The caller has gone away. Its message is dropped now, and not before the next
                    // attempt, so that its room is free earlier.
                    Settlement::Readmit | Settlement::Delay(_) if entry.is_abandoned() => {
                        state.buffer.settle(entry.group());
                        abandoned.push(entry);
                    }
                    Settlement::Readmit => state.buffer.readmit(entry, now),
                    Settlement::Delay(pause) => state.buffer.delay(entry, now + pause),
                }
            }
            state.buffer.end_batch();
            let work = state.advance(now);
            self.notify_if_idle(&state);
            work
        };
        for (entry, outcome) in finished {
            entry.finish(outcome);
        }
        work
    }

    fn notify_if_idle(&self, state: &State) {
        if state.buffer.is_closed() && state.buffer.is_idle() {
            self.idle.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call in progress. If it is dropped, because its runtime stops, its messages have failed.
struct InFlightBatch {
    dispatcher: Arc<Dispatcher>,
    entries: Vec<Entry>,
}

impl InFlightBatch {
    fn new(dispatcher: &Arc<Dispatcher>, entries: Vec<Entry>) -> Self {
        Self {
            dispatcher: Arc::clone(dispatcher),
            entries,
        }
    }

    /// Makes the call. Returns `None` if the sender's deadline for closing expired first.
    async fn send(&mut self) -> Option<Vec<EntryResult>> {
        self.drop_abandoned();
        if self.entries.is_empty() {
            return Some(Vec::new());
        }
        let dispatcher = &self.dispatcher;
        for entry in &mut self.entries {
            entry.had_no_response = entry.progress.start_call();
        }
        let deadlines = self.entries.iter().map(|entry| entry.deadline);
        let give_up_at = Instant::now() + dispatcher.config.call_timeout;
        let give_up_at = deadlines
            .max()
            .map_or(give_up_at, |last| last.min(give_up_at));
        let span = call_span::start(dispatcher, &self.entries);
        let call = send_batch(
            &dispatcher.client,
            &dispatcher.queue,
            &self.entries,
            give_up_at,
        );
        let context = span
            .as_ref()
            .map_or_else(Context::new, |span| span.0.clone())
            .with_value(TracedCall);
        let mut is_aborted = dispatcher.is_aborted.subscribe();
        let results = tokio::select! {
            results = call.with_context(context) => results,
            _ = is_aborted.wait_for(|is_aborted| *is_aborted) => return None,
        };
        if let Some(span) = &span {
            call_span::finish(span, &results);
        }
        Some(results)
    }

    /// Drops the messages whose callers have gone away since the batch was formed.
    fn drop_abandoned(&mut self) {
        if !self.entries.iter().any(Entry::is_abandoned) {
            return;
        }
        let entries = std::mem::take(&mut self.entries).into_iter();
        let (abandoned, entries): (Vec<_>, _) = entries.partition(Entry::is_abandoned);
        self.entries = entries;
        let mut state = self.dispatcher.lock();
        for entry in &abandoned {
            state.buffer.settle(entry.group());
        }
    }

    /// Decides about each message.
    fn settle(mut self, results: Option<Vec<EntryResult>>) -> Work {
        let rules = SettlementRules {
            now: Instant::now(),
            delivery_timeout: self.dispatcher.config.delivery_timeout,
            batch_len: self.entries.len(),
            may_retry: !self.dispatcher.lock().buffer.is_closed(),
            jitter: fastrand::f64(),
        };
        let entries = std::mem::take(&mut self.entries);
        let Some(results) = results else {
            let aborted = entries
                .into_iter()
                .map(|entry| (entry, Settlement::aborted()));
            return self.dispatcher.end_call(aborted.collect());
        };
        let settled = entries.into_iter().zip(results).map(|(mut entry, result)| {
            if let Some(rejection) = result.rejection() {
                self.dispatcher.limit.learn(rejection, rules.now.into_std());
            }
            let settlement = rules.settle(&mut entry, result);
            (entry, settlement)
        });
        self.dispatcher.end_call(settled.collect())
    }
}

impl Drop for InFlightBatch {
    fn drop(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        // The callers get an error, because the senders of their replies are dropped: after the
        // lock was released, because this wakes the callers.
        let entries = std::mem::take(&mut self.entries);
        let mut state = self.dispatcher.lock();
        for entry in &entries {
            state.buffer.settle(entry.group());
            state.keep_unsent(entry, &entry.progress.attempts().no_runtime());
        }
        state.buffer.end_batch();
        self.dispatcher.notify_if_idle(&state);
    }
}

/// Makes one call after another, as long as messages are due.
async fn send_batches(mut batch: InFlightBatch) {
    loop {
        let results = batch.send().await;
        let dispatcher = Arc::clone(&batch.dispatcher);
        let mut work = batch.settle(results);
        let next = work.batches.pop();
        dispatcher.start(&Handle::current(), work);
        match next {
            Some(entries) => batch = InFlightBatch::new(&dispatcher, entries),
            None => return,
        }
    }
}

/// The time at which the timer task wakes. If it is dropped, because its runtime stops, the next
/// message starts another task.
struct Timer {
    dispatcher: Arc<Dispatcher>,
    at: Instant,
}

impl Timer {
    /// Removes the timer from the state. Returns `false` if an earlier one has replaced it.
    fn disarm(&self, state: &mut State) -> bool {
        let is_armed = state.timer_at == Some(self.at);
        if is_armed {
            state.timer_at = None;
        }
        is_armed
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.disarm(&mut self.dispatcher.lock());
    }
}

/// Starts the calls that are due at the time of the timer.
async fn wake_at(timer: Timer) {
    sleep_until(timer.at).await;
    let dispatcher = Arc::clone(&timer.dispatcher);
    let work = {
        let mut state = dispatcher.lock();
        if !timer.disarm(&mut state) {
            return;
        }
        state.advance(Instant::now())
    };
    dispatcher.start(&Handle::current(), work);
}
