//! Metrics of invocations.
//!
//! The crate documentation lists their names, units and attributes. A test compares the list with
//! the recorded metrics.
//!
//! Each record adds one value to each of three histograms. All other metrics are recorded once per
//! batch. Attributes are bound once for each queue, because a lookup for each record would cost
//! more than the histograms themselves.

use std::num::NonZeroU32;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use baton_telemetry::Telemetry;
use opentelemetry::metrics::Meter;
use tokio::time::Instant;

use self::instruments::{FunctionInstruments, MessageInstruments, Mover, QueueInstruments};
use crate::deadline::StopReason;
use crate::event::{SqsBatch, SqsRecord};
use crate::queue::{BatchQueues, Queue};
use crate::spans;

mod instruments;

pub(crate) use self::instruments::{FlushInstruments, FlushOutcome};

/// Maximum number of queues with their own instruments, which limits memory. A function usually has
/// one queue. Messages of further queues are counted without a queue name.
const MAX_QUEUES: usize = 20;

/// CloudWatch metric of the time from the sending of a message to the start of its handler.
const QUEUE_LATENCY: &str = "QueueLatency";

/// Metrics of a process, shared by all invocations.
#[derive(Debug)]
pub(crate) struct Metrics {
    instruments: MessageInstruments,
    function: FunctionInstruments,
    /// Instruments of the [`Flusher`](crate::flush::Flusher).
    pub(crate) flush: FlushInstruments,
    queues: Mutex<Vec<Arc<QueueInstruments>>>,
    /// Instruments for records that do not name their queue.
    unknown_queue: Arc<QueueInstruments>,
    /// Reports queue latencies to CloudWatch. `None` unless that is configured.
    cloudwatch: Option<Telemetry>,
}

/// The metrics of one batch.
#[derive(Debug)]
pub(crate) struct BatchMetrics<'a> {
    metrics: &'a Metrics,
    /// Instruments of all records, or `None` if they are from several queues.
    single_queue: Option<Arc<QueueInstruments>>,
    timed_out: AtomicBool,
    /// Queue latencies for CloudWatch. Empty unless they are reported.
    queue_latencies: Mutex<Vec<Duration>>,
}

/// Start time of a handler, with the instruments of its queue.
#[derive(Debug)]
pub(crate) struct RecordTimer {
    queue: Arc<QueueInstruments>,
    began: Instant,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        let instruments = MessageInstruments::new(meter);
        Self {
            function: FunctionInstruments::new(meter),
            flush: FlushInstruments::new(meter),
            queues: Mutex::default(),
            unknown_queue: Arc::new(instruments.bind_queue(None)),
            instruments,
            cloudwatch: None,
        }
    }

    /// Reports queue latencies to CloudWatch as well as to OpenTelemetry, if `telemetry` is given.
    pub(crate) fn with_cloudwatch(mut self, telemetry: Option<Telemetry>) -> Self {
        self.cloudwatch = telemetry;
        self
    }

    /// Records the time from the start of the process to its first request for an event.
    pub(crate) fn record_init(&self, duration: Duration) {
        let init_duration = &self.function.init_duration;
        init_duration.record(duration.as_secs_f64());
    }

    /// Records the start of an invocation.
    pub(crate) fn start_invocation(&self, is_cold_start: bool) -> Instant {
        if is_cold_start {
            self.function.coldstarts.add(1);
        }
        Instant::now()
    }

    /// Records the end of an invocation, before its flush.
    pub(crate) fn finish_invocation(&self, began: Instant, is_success: bool) {
        let FunctionInstruments {
            invoke_duration,
            invocations,
            errors,
            ..
        } = &self.function;
        invoke_duration.record(began.elapsed().as_secs_f64());
        if is_success { invocations } else { errors }.add(1);
    }

    /// Records the messages of a batch.
    pub(crate) fn start_batch(&self, queues: &BatchQueues, batch: &SqsBatch) -> BatchMetrics<'_> {
        let batch_metrics = BatchMetrics {
            metrics: self,
            single_queue: queues
                .single_queue()
                .map(|queue| self.queue_instruments(Some(queue))),
            timed_out: AtomicBool::new(false),
            queue_latencies: Mutex::default(),
        };
        match &batch_metrics.single_queue {
            Some(queue) => queue.consumed.add(batch.len() as u64),
            None => batch.records().for_each(|record| {
                batch_metrics
                    .record_instruments(queues, &record)
                    .consumed
                    .add(1);
            }),
        }
        batch_metrics
    }

    /// Counts the messages that the redrive policy moves, because they are returned to the queue
    /// after `max_receive_count` deliveries. `is_returned` is `true` for the positions of records
    /// that are returned.
    pub(crate) fn count_redriven(
        &self,
        queues: &BatchQueues,
        batch: &SqsBatch,
        max_receive_count: NonZeroU32,
        is_returned: impl Fn(usize) -> bool,
    ) {
        let moved = batch.records().enumerate().filter(|(index, record)| {
            let count = record.receive_count();
            count.is_some_and(|count| count >= max_receive_count.get()) && is_returned(*index)
        });
        for (_, record) in moved {
            let queue = self.queue_instruments(queues.find_queue(&record));
            self.instruments
                .count_dead_letter(&queue, Mover::RedrivePolicy);
        }
    }

    fn queue_instruments(&self, queue: Option<&Queue>) -> Arc<QueueInstruments> {
        let Some(queue) = queue else {
            return Arc::clone(&self.unknown_queue);
        };
        let mut queues = lock(&self.queues);
        let known = queues.iter().find(|known| known.has_name(queue.name()));
        match known {
            Some(known) => Arc::clone(known),
            None if queues.len() >= MAX_QUEUES => Arc::clone(&self.unknown_queue),
            None => {
                let new = Arc::new(self.instruments.bind_queue(Some(queue.name_value())));
                queues.push(Arc::clone(&new));
                new
            }
        }
    }
}

impl BatchMetrics<'_> {
    fn record_instruments(
        &self,
        queues: &BatchQueues,
        record: &SqsRecord<'_>,
    ) -> Arc<QueueInstruments> {
        match &self.single_queue {
            Some(queue) => Arc::clone(queue),
            None => self.metrics.queue_instruments(queues.find_queue(record)),
        }
    }

    /// Records the start of a handler.
    pub(crate) fn start_record(&self, queues: &BatchQueues, record: &SqsRecord<'_>) -> RecordTimer {
        let queue = self.record_instruments(queues, record);
        if let Some(count) = record.receive_count() {
            queue.receive_count.record(f64::from(count));
        }
        if let Some(sent) = record.sent_timestamp() {
            let latency = spans::queue_latency(sent, SystemTime::now());
            queue.queue_latency.record(latency.as_secs_f64());
            if self.metrics.cloudwatch.is_some() {
                lock(&self.queue_latencies).push(latency);
            }
        }
        RecordTimer {
            queue,
            began: Instant::now(),
        }
    }

    /// Records the end of a handler.
    pub(crate) fn finish_record(&self, timer: &RecordTimer, error_type: Option<&'static str>) {
        let duration = timer.began.elapsed().as_secs_f64();
        match error_type {
            None => timer.queue.process_duration.record(duration),
            Some(error_type) => {
                let instruments = &self.metrics.instruments;
                instruments.record_failure(&timer.queue, duration, error_type);
            }
        }
    }

    /// Counts a message that the function has moved to the dead-letter queue.
    pub(crate) fn count_dead_letter(&self, queues: &BatchQueues, record: &SqsRecord<'_>) {
        let queue = self.record_instruments(queues, record);
        let instruments = &self.metrics.instruments;
        instruments.count_dead_letter(&queue, Mover::Function);
    }

    /// Notes that a record was cancelled or skipped.
    pub(crate) fn record_stop(&self, error_type: &'static str) {
        if error_type == StopReason::Deadline.error_type() {
            self.timed_out.store(true, Relaxed);
        }
    }

    /// Records the end of the batch.
    pub(crate) fn end(&self) {
        if self.timed_out.load(Relaxed) {
            self.metrics.function.timeouts.add(1);
        }
        if let Some(telemetry) = &self.metrics.cloudwatch {
            telemetry.write_cloudwatch_durations(QUEUE_LATENCY, &lock(&self.queue_latencies));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
