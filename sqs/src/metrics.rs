//! The metrics of sends, according to the messaging conventions (v1.44).

use std::sync::Arc;
use std::time::Instant;

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

/// The instruments for the sends to one queue. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct SendMetrics(Arc<Instruments>);

#[derive(Debug)]
struct Instruments {
    duration: Histogram<f64>,
    sent: Counter<u64>,
    /// Attributes of every send to the queue.
    attributes: [KeyValue; 3],
    // Bound to the attributes of a successful send: most sends succeed, and binding saves the
    // look-up of the attributes for each of them.
    duration_of_success: BoundHistogram<f64>,
    sent_with_success: BoundCounter<u64>,
}

/// Measures one send. A measurement that is dropped records a cancelled or panicked send.
#[derive(Debug)]
pub(crate) struct SendMeasurement {
    instruments: Arc<Instruments>,
    began: Instant,
    is_finished: bool,
}

impl SendMetrics {
    pub(crate) fn new(meter: &Meter, queue: &QueueUrl) -> Self {
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
        let name = queue.name().to_owned();
        // In the order of their names, so that the SDK stores the set only once.
        let attributes = [
            KeyValue::new(attribute::MESSAGING_DESTINATION_NAME, name),
            KeyValue::new(attribute::MESSAGING_OPERATION_NAME, OPERATION),
            KeyValue::new(attribute::MESSAGING_SYSTEM, SYSTEM),
        ];
        Self(Arc::new(Instruments {
            duration_of_success: duration.bind(&with_operation_type(&attributes)),
            sent_with_success: sent.bind(&attributes),
            attributes,
            duration,
            sent,
        }))
    }

    /// Creates instruments that record nothing, for a client without a meter.
    pub(crate) fn noop(queue: &QueueUrl) -> Self {
        Self::new(&NoopMeterProvider::new().meter("none"), queue)
    }

    pub(crate) fn start_send(&self) -> SendMeasurement {
        SendMeasurement {
            instruments: Arc::clone(&self.0),
            began: Instant::now(),
            is_finished: false,
        }
    }
}

impl SendMeasurement {
    /// Records the send, except for an invalid message, which was not sent.
    pub(crate) fn finish(mut self, error: Option<&QueueSendError>) {
        self.is_finished = true;
        match error {
            None => {
                let duration = self.began.elapsed().as_secs_f64();
                self.instruments.duration_of_success.record(duration);
                self.instruments.sent_with_success.add(1);
            }
            Some(QueueSendError::Invalid(_)) => {}
            Some(error) => self.record_failure(error.error_type().to_owned()),
        }
    }

    /// Failures are rare and each reason is a separate series, so these instruments are not bound.
    fn record_failure(&self, error_type: String) {
        let Instruments {
            duration,
            sent,
            attributes,
            ..
        } = &*self.instruments;
        let error_type = KeyValue::new(attribute::ERROR_TYPE, error_type);
        let mut duration_attributes = with_operation_type(attributes);
        duration_attributes.push(error_type.clone());
        duration.record(self.began.elapsed().as_secs_f64(), &duration_attributes);
        let mut sent_attributes = attributes.to_vec();
        sent_attributes.push(error_type);
        sent.add(1, &sent_attributes);
    }
}

impl Drop for SendMeasurement {
    fn drop(&mut self) {
        if !self.is_finished {
            self.record_failure(error_type::classify_drop().to_owned());
        }
    }
}

/// Adds the type of the operation, which the conventions define for durations only.
fn with_operation_type(attributes: &[KeyValue]) -> Vec<KeyValue> {
    let mut attributes = attributes.to_vec();
    attributes.push(KeyValue::new(
        attribute::MESSAGING_OPERATION_TYPE,
        OPERATION,
    ));
    attributes
}
