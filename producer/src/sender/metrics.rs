//! The metrics of sends, by the messaging conventions: how many were tried, and how long each took.

use std::sync::Arc;
use std::time::Instant;

use baton_sqs::QueueUrl;
use opentelemetry::KeyValue;
use opentelemetry::metrics::noop::NoopMeterProvider;
use opentelemetry::metrics::{
    BoundCounter, BoundHistogram, Counter, Histogram, Meter, MeterProvider as _,
};
use opentelemetry_semantic_conventions::{attribute, metric};

use super::span::{OPERATION, SYSTEM};
use crate::sender::SendError;
use crate::unfinished::error_type;

/// What the messaging conventions advise for durations, in seconds.
const DURATION_BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// What the sends to one queue are recorded into. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Metrics(Arc<Instruments>);

#[derive(Debug)]
struct Instruments {
    duration: Histogram<f64>,
    sent: Counter<u64>,
    /// Of every send to this queue.
    attributes: [KeyValue; 3],
    /// Both with the attributes of a send that succeeds, which most do.
    duration_of_success: BoundHistogram<f64>,
    sent_with_success: BoundCounter<u64>,
}

/// A send that is under way. One that is dropped was cancelled, or has panicked.
#[derive(Debug)]
pub(super) struct Sending {
    instruments: Arc<Instruments>,
    began: Instant,
    is_over: bool,
}

impl Metrics {
    pub(super) fn new(meter: &Meter, queue: &QueueUrl) -> Self {
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
        let attributes = [
            KeyValue::new(attribute::MESSAGING_DESTINATION_NAME, name),
            KeyValue::new(attribute::MESSAGING_OPERATION_NAME, OPERATION),
            KeyValue::new(attribute::MESSAGING_SYSTEM, SYSTEM),
        ];
        Self(Arc::new(Instruments {
            duration_of_success: duration.bind(&with_type(&attributes)),
            sent_with_success: sent.bind(&attributes),
            attributes,
            duration,
            sent,
        }))
    }

    /// For a sender without a meter.
    pub(super) fn none(queue: &QueueUrl) -> Self {
        Self::new(&NoopMeterProvider::new().meter("none"), queue)
    }

    pub(super) fn begin(&self) -> Sending {
        Sending {
            instruments: Arc::clone(&self.0),
            began: Instant::now(),
            is_over: false,
        }
    }
}

impl Sending {
    /// SQS has answered, or has not. A message that breaks SQS's rules was not sent at all.
    pub(super) fn end(mut self, error: Option<&SendError>) {
        self.is_over = true;
        match error {
            None => {
                let duration = self.began.elapsed().as_secs_f64();
                self.instruments.duration_of_success.record(duration);
                self.instruments.sent_with_success.add(1);
            }
            Some(SendError::Invalid(_)) => {}
            Some(error) => self.record_failure(error.error_type().to_owned()),
        }
    }

    fn record_failure(&self, error_type: String) {
        let Instruments {
            duration,
            sent,
            attributes,
            ..
        } = &*self.instruments;
        let error_type = KeyValue::new(attribute::ERROR_TYPE, error_type);
        let mut of_duration = with_type(attributes);
        of_duration.push(error_type.clone());
        duration.record(self.began.elapsed().as_secs_f64(), &of_duration);
        let mut of_sent = attributes.to_vec();
        of_sent.push(error_type);
        sent.add(1, &of_sent);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.is_over {
            self.record_failure(error_type().to_owned());
        }
    }
}

/// The duration says also what kind of operation it was.
fn with_type(attributes: &[KeyValue]) -> Vec<KeyValue> {
    let mut attributes = attributes.to_vec();
    attributes.push(KeyValue::new(
        attribute::MESSAGING_OPERATION_TYPE,
        OPERATION,
    ));
    attributes
}
