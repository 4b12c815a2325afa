//! The metrics of sends, according to the messaging conventions (v1.44).

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::noop::NoopMeterProvider;
use opentelemetry::metrics::{
    BoundCounter, BoundHistogram, Counter, Histogram, Meter, MeterProvider as _,
};
use opentelemetry_semantic_conventions::{attribute, metric};

use crate::error::QueueSendError;
use crate::error_type;
use crate::queue::QueueUrl;
use crate::span::{OPERATION, SYSTEM};

/// The bucket boundaries that the messaging conventions recommend for durations, in seconds.
const DURATION_BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The instruments of a meter. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct SendInstruments {
    duration: Histogram<f64>,
    sent: Counter<u64>,
}

/// The attributes of the sends to a queue, in the order of their names, so that the SDK stores each
/// set only once.
#[derive(Debug)]
pub(crate) struct SendAttributes {
    duration: Vec<KeyValue>,
    sent: Vec<KeyValue>,
}

/// The metrics of the sends to one queue. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct SendMetrics(Arc<QueueInstruments>);

/// The instruments, and those that are bound to the attributes of the queue.
#[derive(Debug)]
struct QueueInstruments {
    instruments: SendInstruments,
    attributes: SendAttributes,
    // Bound to the attributes of a successful send: most sends succeed, and binding saves the
    // look-up of the attributes for each of them.
    duration_of_success: BoundHistogram<f64>,
    sent_with_success: BoundCounter<u64>,
}

/// Measures one send. A measurement that is dropped records a cancelled or panicked send.
#[derive(Debug)]
pub(crate) struct SendMeasurement {
    metrics: SendMetrics,
    began: Instant,
    is_finished: bool,
}

impl SendInstruments {
    pub(crate) fn new(meter: &Meter) -> Self {
        let duration = meter
            .f64_histogram(metric::MESSAGING_CLIENT_OPERATION_DURATION)
            .with_unit("s")
            .with_description("Duration of a messaging operation of the client.")
            .with_boundaries(DURATION_BOUNDS.to_vec())
            .build();
        let sent = meter
            .u64_counter(metric::MESSAGING_CLIENT_SENT_MESSAGES)
            .with_unit("{message}")
            .with_description("Messages that the client has tried to send.")
            .build();
        Self { duration, sent }
    }

    /// Records the duration of a successful operation.
    pub(crate) fn record_successful_operation(
        &self,
        attributes: &SendAttributes,
        duration: Duration,
    ) {
        self.duration
            .record(duration.as_secs_f64(), &attributes.duration);
    }

    /// Records the duration of a failed operation.
    pub(crate) fn record_failed_operation(
        &self,
        attributes: &SendAttributes,
        duration: Duration,
        error_type: &str,
    ) {
        let attributes = with_error_type(&attributes.duration, error_type);
        self.duration.record(duration.as_secs_f64(), &attributes);
    }

    /// Counts messages that SQS has accepted.
    pub(crate) fn count_accepted_messages(&self, attributes: &SendAttributes, count: usize) {
        self.sent.add(as_u64(count), &attributes.sent);
    }

    /// Counts messages that SQS has not confirmed.
    pub(crate) fn count_failed_messages(
        &self,
        attributes: &SendAttributes,
        count: usize,
        error_type: &str,
    ) {
        let attributes = with_error_type(&attributes.sent, error_type);
        self.sent.add(as_u64(count), &attributes);
    }
}

impl SendAttributes {
    /// Returns the attributes of the sends to `queue`, which is `None` if its URL does not parse.
    pub(crate) fn new(queue: Option<&QueueUrl>) -> Self {
        let name = queue.map(|queue| queue.name().to_owned());
        let name = name.map(|name| KeyValue::new(attribute::MESSAGING_DESTINATION_NAME, name));
        let operation_name = KeyValue::new(attribute::MESSAGING_OPERATION_NAME, OPERATION);
        // The conventions define the type of the operation for durations only.
        let operation_type = KeyValue::new(attribute::MESSAGING_OPERATION_TYPE, OPERATION);
        let system = KeyValue::new(attribute::MESSAGING_SYSTEM, SYSTEM);
        let sent = name.clone().into_iter();
        let duration = name.into_iter();
        Self {
            sent: sent
                .chain([operation_name.clone(), system.clone()])
                .collect(),
            duration: duration
                .chain([operation_name, operation_type, system])
                .collect(),
        }
    }
}

impl SendMetrics {
    pub(crate) fn new(meter: &Meter, queue: &QueueUrl) -> Self {
        let instruments = SendInstruments::new(meter);
        let attributes = SendAttributes::new(Some(queue));
        Self(Arc::new(QueueInstruments {
            duration_of_success: instruments.duration.bind(&attributes.duration),
            sent_with_success: instruments.sent.bind(&attributes.sent),
            attributes,
            instruments,
        }))
    }

    /// Creates instruments that record nothing, for a client without a meter.
    pub(crate) fn noop(queue: &QueueUrl) -> Self {
        Self::new(&NoopMeterProvider::new().meter("none"), queue)
    }

    pub(crate) fn start_send(&self) -> SendMeasurement {
        SendMeasurement {
            metrics: self.clone(),
            began: Instant::now(),
            is_finished: false,
        }
    }
}

impl SendMeasurement {
    /// Records the send, except for an invalid message, which was not sent.
    pub(crate) fn finish(mut self, error: Option<&QueueSendError>) {
        self.is_finished = true;
        let SendMetrics(metrics) = &self.metrics;
        match error {
            None => {
                let duration = self.began.elapsed().as_secs_f64();
                metrics.duration_of_success.record(duration);
                metrics.sent_with_success.add(1);
            }
            Some(QueueSendError::Invalid(_)) => {}
            Some(error) => self.record_failure(error.error_type()),
        }
    }

    /// Failures are rare and each reason is a separate series, so these instruments are not bound.
    fn record_failure(&self, error_type: &str) {
        let QueueInstruments {
            instruments,
            attributes,
            ..
        } = &*self.metrics.0;
        instruments.record_failed_operation(attributes, self.began.elapsed(), error_type);
        instruments.count_failed_messages(attributes, 1, error_type);
    }
}

impl Drop for SendMeasurement {
    fn drop(&mut self) {
        if !self.is_finished {
            self.record_failure(error_type::classify_drop());
        }
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn with_error_type(attributes: &[KeyValue], error_type: &str) -> Vec<KeyValue> {
    let error_type = KeyValue::new(attribute::ERROR_TYPE, error_type.to_owned());
    let others = attributes.iter().cloned();
    [error_type].into_iter().chain(others).collect()
}
