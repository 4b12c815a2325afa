//! The metrics of an invocation. Names, units and attributes as in the crate's documentation, which
//! a test compares with what is recorded.
//!
//! A record has one value in each of two histograms; everything else is counted once for the whole
//! batch. What goes with the values is bound beforehand, once for each queue that the process has
//! seen: looking it up again for every record would cost more than the histograms.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use opentelemetry::metrics::Meter;
use tokio::time::Instant;

use self::instruments::{Function, Instruments, OfQueue, Sends};
use crate::deadline::StopReason;
use crate::event::{Batch, Record};
use crate::queue::{Queue, Queues};
use crate::spans;

mod instruments;

/// How many queues a function is taken to have, which has one as a rule. The messages of further
/// ones are counted without their queue.
const MAX_QUEUES: usize = 20;

/// What all invocations of the process record into.
#[derive(Debug)]
pub(crate) struct Metrics {
    instruments: Instruments,
    function: Function,
    /// `None` where no dead-letter queue is known.
    sends: Option<Sends>,
    queues: Mutex<Vec<Arc<OfQueue>>>,
    /// For records that do not say which queue they came from.
    strays: Arc<OfQueue>,
}

/// The metrics of one batch.
#[derive(Debug)]
pub(crate) struct OfBatch<'a> {
    metrics: &'a Metrics,
    /// What all of its records record into; `None` when they are from several queues.
    only: Option<Arc<OfQueue>>,
    is_cut: AtomicBool,
}

/// A record that is being handled.
#[derive(Debug)]
pub(crate) struct Handling {
    queue: Arc<OfQueue>,
    began: Instant,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter, has_dead_letters: bool) -> Self {
        let instruments = Instruments::new(meter);
        Self {
            function: Function::new(meter),
            sends: has_dead_letters.then(|| Sends::new(meter)),
            queues: Mutex::default(),
            strays: Arc::new(instruments.of_queue(None)),
            instruments,
        }
    }

    /// An invocation has begun.
    pub(crate) fn begin_invocation(&self, is_cold_start: bool) -> Instant {
        if is_cold_start {
            self.function.coldstarts.add(1);
        }
        Instant::now()
    }

    /// The invocation that began then is over, but for its flush.
    pub(crate) fn end_invocation(&self, began: Instant, is_success: bool) {
        let Function {
            invoke_duration,
            invocations,
            errors,
            ..
        } = &self.function;
        invoke_duration.record(began.elapsed().as_secs_f64());
        if is_success { invocations } else { errors }.add(1);
    }

    /// The records of a batch have arrived.
    pub(crate) fn begin_batch(&self, queues: &Queues, batch: &Batch) -> OfBatch<'_> {
        let of_batch = OfBatch {
            metrics: self,
            only: queues.only().map(|queue| self.of_queue(Some(queue))),
            is_cut: AtomicBool::new(false),
        };
        match &of_batch.only {
            Some(queue) => queue.consumed.add(batch.len() as u64),
            None => batch.records().for_each(|record| {
                of_batch.of_record(queues, &record).consumed.add(1);
            }),
        }
        of_batch
    }

    fn of_queue(&self, queue: Option<&Queue>) -> Arc<OfQueue> {
        let Some(queue) = queue else {
            return Arc::clone(&self.strays);
        };
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let known = queues.iter().find(|known| known.is_of(queue.name()));
        match known {
            Some(known) => Arc::clone(known),
            None if queues.len() >= MAX_QUEUES => Arc::clone(&self.strays),
            None => {
                let new = Arc::new(self.instruments.of_queue(Some(queue.name_value())));
                queues.push(Arc::clone(&new));
                new
            }
        }
    }
}

impl OfBatch<'_> {
    fn of_record(&self, queues: &Queues, record: &Record<'_>) -> Arc<OfQueue> {
        match &self.only {
            Some(queue) => Arc::clone(queue),
            None => self.metrics.of_queue(queues.of_record(record)),
        }
    }

    /// A handler is about to start.
    pub(crate) fn begin_record(&self, queues: &Queues, record: &Record<'_>) -> Handling {
        let queue = self.of_record(queues, record);
        if let Some(sent) = record.sent_timestamp() {
            let latency = spans::queue_latency(sent, SystemTime::now());
            queue.queue_latency.record(latency);
        }
        Handling {
            queue,
            began: Instant::now(),
        }
    }

    /// The handler is done.
    pub(crate) fn end_record(&self, handling: &Handling, error_type: Option<&'static str>) {
        let duration = handling.began.elapsed().as_secs_f64();
        match error_type {
            None => handling.queue.process_duration.record(duration),
            Some(error_type) => {
                let instruments = &self.metrics.instruments;
                instruments.record_failure(&handling.queue, duration, error_type);
            }
        }
    }

    /// A record was cancelled, or not even started, for this reason.
    pub(crate) fn record_halt(&self, error_type: &'static str) {
        if error_type == StopReason::Deadline.error_type() {
            self.is_cut.store(true, Relaxed);
        }
    }

    /// A message was sent to the dead-letter queue of this name, or was not, since `began`.
    pub(crate) fn record_send(&self, queue: &str, began: Instant, error_type: Option<&str>) {
        if let Some(sends) = &self.metrics.sends {
            sends.record(queue, began.elapsed(), error_type);
        }
    }

    /// Everything has been tried.
    pub(crate) fn end(&self) {
        if self.is_cut.load(Relaxed) {
            self.metrics.function.timeouts.add(1);
        }
    }
}

#[cfg(test)]
mod tests;
