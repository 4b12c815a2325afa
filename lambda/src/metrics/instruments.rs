//! Instruments with the names and units of the semantic conventions v1.44 (messaging, FaaS), and
//! instruments that the conventions do not have.

use std::time::Duration;

use opentelemetry::metrics::{BoundCounter, BoundHistogram, Counter, Histogram, Meter};
use opentelemetry::{KeyValue, StringValue};
use opentelemetry_semantic_conventions::{attribute as key, metric};

/// Seconds from the acceptance of a message by SQS to the start of its processing. Not part of the
/// conventions.
const QUEUE_LATENCY: &str = "baton.sqs.queue_latency";
/// Deliveries of a message, including the current one. Not part of the conventions.
const RECEIVE_COUNT: &str = "baton.sqs.receive_count";
/// Messages that are moved to a dead-letter queue. Not part of the conventions.
const DEAD_LETTERS: &str = "baton.sqs.dead_letters";
/// Attribute of that metric: the [`Mover`].
const MOVED_BY: &str = "baton.sqs.moved_by";

/// Duration of a flush. Not part of the conventions.
const FLUSH_DURATION: &str = "baton.telemetry.flush.duration";
/// Attribute of that metric: the [`FlushOutcome`].
const OUTCOME: &str = "baton.telemetry.outcome";

/// Attribute values of the conventions, the same as on spans.
const AWS_SQS: &str = "aws_sqs";
const PROCESS: &str = "process";
const PUBSUB: &str = "pubsub";

/// Boundaries that the messaging and FaaS conventions recommend for durations, in seconds.
const DURATION_BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Boundaries for the time in the queue, in seconds. It is milliseconds normally, at least the
/// visibility timeout after a failure, and up to fourteen days if no consumer receives the message.
const LATENCY_BOUNDS: [f64; 14] = [
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 86_400.0,
];
/// Boundaries for flushes, in seconds. A collector beside the function responds within a
/// millisecond, one in the same region within ten, and the default time limit is one second.
const FLUSH_BOUNDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];
/// Boundaries for the deliveries of a message. A redrive policy usually allows three to five, so
/// each of these numbers has its own bucket. It may allow up to 1,000.
const DELIVERY_BOUNDS: [f64; 9] = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// The mover of a message to a dead-letter queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mover {
    /// The redrive policy of the source queue.
    RedrivePolicy,
    /// The function, with the feature `dead-letter-queue`.
    Function,
}

impl Mover {
    fn as_str(self) -> &'static str {
        match self {
            Self::RedrivePolicy => "redrive_policy",
            Self::Function => "function",
        }
    }
}

/// Instruments for messages, not bound to a queue.
#[derive(Debug)]
pub(super) struct MessageInstruments {
    process_duration: Histogram<f64>,
    queue_latency: Histogram<f64>,
    receive_count: Histogram<f64>,
    consumed: Counter<u64>,
    dead_letters: Counter<u64>,
}

/// Instruments for the messages of one queue, bound to its attributes.
#[derive(Debug)]
pub(super) struct QueueInstruments {
    name: Option<StringValue>,
    pub(super) process_duration: BoundHistogram<f64>,
    pub(super) queue_latency: BoundHistogram<f64>,
    pub(super) receive_count: BoundHistogram<f64>,
    pub(super) consumed: BoundCounter<u64>,
}

impl MessageInstruments {
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            process_duration: histogram(
                meter,
                metric::MESSAGING_PROCESS_DURATION,
                "s",
                "Duration of processing a message.",
                &DURATION_BOUNDS,
            ),
            queue_latency: histogram(
                meter,
                QUEUE_LATENCY,
                "s",
                "Time from the acceptance of a message by SQS to the start of its processing.",
                &LATENCY_BOUNDS,
            ),
            receive_count: histogram(
                meter,
                RECEIVE_COUNT,
                "{delivery}",
                "Deliveries of a message, including this one.",
                &DELIVERY_BOUNDS,
            ),
            consumed: counter(
                meter,
                metric::MESSAGING_CLIENT_CONSUMED_MESSAGES,
                "{message}",
                "Messages that were delivered to the function.",
            ),
            dead_letters: counter(
                meter,
                DEAD_LETTERS,
                "{message}",
                "Messages that are moved to a dead-letter queue.",
            ),
        }
    }

    pub(super) fn bind_queue(&self, name: Option<StringValue>) -> QueueInstruments {
        let attributes = messaging_attributes(name.clone(), PROCESS);
        let destination = destination_attributes(name.clone());
        QueueInstruments {
            name,
            process_duration: self.process_duration.bind(&attributes),
            queue_latency: self.queue_latency.bind(&destination),
            receive_count: self.receive_count.bind(&destination),
            consumed: self.consumed.bind(&attributes),
        }
    }

    /// Records the duration of a failed handler. Not bound, because failures are rare and each
    /// `error.type` has its own series.
    pub(super) fn record_failure(
        &self,
        queue: &QueueInstruments,
        duration: f64,
        error_type: &'static str,
    ) {
        let mut attributes = messaging_attributes(queue.name.clone(), PROCESS);
        attributes.push(KeyValue::new(key::ERROR_TYPE, error_type));
        self.process_duration.record(duration, &attributes);
    }

    /// Counts a message that is moved to a dead-letter queue. The attributes are not bound, because
    /// dead letters are rare.
    pub(super) fn count_dead_letter(&self, queue: &QueueInstruments, mover: Mover) {
        let mut attributes = vec![KeyValue::new(MOVED_BY, mover.as_str())];
        attributes.extend(destination_attributes(queue.name.clone()));
        self.dead_letters.add(1, &attributes);
    }
}

impl QueueInstruments {
    pub(super) fn has_name(&self, queue: &str) -> bool {
        self.name
            .as_ref()
            .is_some_and(|name| name.as_str() == queue)
    }
}

/// Instruments for invocations.
#[derive(Debug)]
pub(super) struct FunctionInstruments {
    pub(super) coldstarts: BoundCounter<u64>,
    pub(super) invocations: BoundCounter<u64>,
    pub(super) errors: BoundCounter<u64>,
    pub(super) timeouts: BoundCounter<u64>,
    pub(super) init_duration: BoundHistogram<f64>,
    pub(super) invoke_duration: BoundHistogram<f64>,
}

impl FunctionInstruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let trigger = [KeyValue::new(key::FAAS_TRIGGER, PUBSUB)];
        let count =
            |name, unit, description| counter(meter, name, unit, description).bind(&trigger);
        let measure = |name, description| {
            histogram(meter, name, "s", description, &DURATION_BOUNDS).bind(&trigger)
        };
        Self {
            coldstarts: count(
                metric::FAAS_COLDSTARTS,
                "{coldstart}",
                "Invocations that were the first of their process.",
            ),
            invocations: count(
                metric::FAAS_INVOCATIONS,
                "{invocation}",
                "Successful invocations.",
            ),
            errors: count(metric::FAAS_ERRORS, "{error}", "Failed invocations."),
            timeouts: count(
                metric::FAAS_TIMEOUTS,
                "{timeout}",
                "Invocations that left messages unhandled because their deadline was near.",
            ),
            init_duration: measure(
                metric::FAAS_INIT_DURATION,
                "Time from the start of the process to its first request for an event.",
            ),
            invoke_duration: measure(
                metric::FAAS_INVOKE_DURATION,
                "Duration of an invocation, without its flush.",
            ),
        }
    }
}

/// Outcome of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlushOutcome {
    /// The flush ended within its time, even if the export failed.
    Complete,
    Timeout,
    /// The shutdown of the process cut the flush short.
    Shutdown,
}

impl FlushOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Timeout => "timeout",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Instruments for the flushes of invocations.
#[derive(Debug, Clone)]
pub(crate) struct FlushInstruments {
    duration: Histogram<f64>,
}

impl FlushInstruments {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            duration: histogram(
                meter,
                FLUSH_DURATION,
                "s",
                "Time that a flush adds to an invocation.",
                &FLUSH_BOUNDS,
            ),
        }
    }

    pub(crate) fn record(&self, duration: Duration, outcome: FlushOutcome) {
        let outcome = KeyValue::new(OUTCOME, outcome.as_str());
        self.duration.record(duration.as_secs_f64(), &[outcome]);
    }
}

/// Returns the attributes in the order of their names. The SDK stores a second copy of a set whose
/// attributes are in another order.
fn messaging_attributes(queue: Option<StringValue>, operation: &'static str) -> Vec<KeyValue> {
    let mut attributes = destination_attributes(queue);
    attributes.extend([
        KeyValue::new(key::MESSAGING_OPERATION_NAME, operation),
        KeyValue::new(key::MESSAGING_SYSTEM, AWS_SQS),
    ]);
    attributes
}

fn destination_attributes(queue: Option<StringValue>) -> Vec<KeyValue> {
    let named = queue.map(|name| KeyValue::new(key::MESSAGING_DESTINATION_NAME, name));
    named.into_iter().collect()
}

fn histogram(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    bounds: &[f64],
) -> Histogram<f64> {
    meter
        .f64_histogram(name)
        .with_unit(unit)
        .with_description(description)
        .with_boundaries(bounds.to_vec())
        .build()
}

fn counter(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
) -> Counter<u64> {
    meter
        .u64_counter(name)
        .with_unit(unit)
        .with_description(description)
        .build()
}
