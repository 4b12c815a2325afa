//! The expected spans of a batch: the only place to change when the documentation of `baton-lambda`
//! adds or removes a field.

use std::collections::BTreeMap;
use std::time::Duration;

use baton_test_support::{
    ACCOUNT, AttributeValue, FUNCTION_ARN, FUNCTION_NAME, Link, REGION, Resource, Scope, Span,
    SpanKind, Status, StatusCode,
};

use super::generated::{Outcome, Producer, Sample, Shape};

/// Schema URL of the semantic conventions, on resource and scope.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.42.0";
/// Flag of a parent or linked span in the same process.
const LOCAL: u32 = 0x100;
/// Flags of a parent or linked span in another process.
const REMOTE: u32 = 0x300;
const SAMPLED: u32 = 1;
/// `BATON_MAX_RECEIVE_COUNT` of the functions: some messages are at their last delivery, some
/// beyond it.
pub(super) const MAX_RECEIVE_COUNT: i64 = 2;

type Attributes = BTreeMap<String, AttributeValue>;

/// Properties of an invocation that its batch span shows.
pub(super) struct Batch<'a> {
    pub(super) request_id: &'a str,
    pub(super) is_cold_start: bool,
    pub(super) samples: &'a [Sample],
}

impl Batch<'_> {
    /// Returns the expected batch span, with ids and times of the exported one.
    pub(super) fn span(&self, found: &Span) -> Span {
        let queue = self.samples[0].queue();
        let one_queue = self.samples.iter().all(|sample| sample.queue() == queue);
        let count = i64::try_from(self.samples.len()).unwrap();
        let mut attributes = attributes([
            ("messaging.system", "aws_sqs".into()),
            ("messaging.operation.name", "process_batch".into()),
            ("messaging.operation.type", "process".into()),
            ("messaging.batch.message_count", count.into()),
            ("faas.trigger", "pubsub".into()),
            ("faas.invocation_id", self.request_id.into()),
            ("faas.coldstart", self.is_cold_start.into()),
            ("aws.lambda.invoked_arn", FUNCTION_ARN.into()),
            ("cloud.account.id", ACCOUNT.into()),
            ("cloud.resource_id", FUNCTION_ARN.into()),
        ]);
        if one_queue {
            attributes.extend(self::attributes([(
                "messaging.destination.name",
                queue.into(),
            )]));
        }
        Span {
            name: if one_queue {
                format!("process_batch {queue}")
            } else {
                "process_batch".to_owned()
            },
            attributes,
            links: self.samples.iter().filter_map(sender_link).collect(),
            flags: LOCAL | SAMPLED,
            ..common_fields(found)
        }
    }
}

/// Returns the link to the producer of a record that has a context, sampled or not, or else to the
/// X-Ray span of the message.
fn sender_link(sample: &Sample) -> Option<Link> {
    let message_id = &*sample.record.message_id;
    Some(Link {
        attributes: attributes([("messaging.message.id", message_id.into())]),
        ..link(sample.producer.as_ref().or(sample.xray.as_ref())?)
    })
}

fn link(producer: &Producer) -> Link {
    Link {
        trace_id: producer.trace_id.clone(),
        span_id: producer.span_id.clone(),
        trace_state: producer.trace_state.to_owned(),
        flags: REMOTE | producer.flags,
        attributes: Attributes::new(),
        dropped_attributes: 0,
    }
}

/// Returns the expected span of a record, with ids and times of the exported one.
pub(super) fn record(sample: &Sample, shape: Shape, batch: &Span, found: &Span) -> Span {
    let mut span = Span {
        name: format!("process {}", sample.queue()),
        attributes: record_attributes(sample, found.start_unix_nano),
        status: status(sample.outcome),
        flags: LOCAL | SAMPLED,
        ..common_fields(found)
    };
    match (shape, &sample.producer) {
        (Shape::Continue, Some(producer)) => {
            span.trace_id.clone_from(&producer.trace_id);
            span.parent_span_id = Some(producer.span_id.clone());
            span.trace_state = producer.trace_state.to_owned();
            span.flags = REMOTE | producer.flags;
            span.links.push(link_to_batch(batch));
        }
        (Shape::Continue, None) => {
            // The record span starts a trace, which must not be that of the batch span.
            assert_ne!(found.trace_id, batch.trace_id);
            span.links.push(link_to_batch(batch));
        }
        (Shape::Batch, producer) => {
            span.trace_id.clone_from(&batch.trace_id);
            span.parent_span_id = Some(batch.span_id.clone());
            span.links.extend(producer.as_ref().map(link));
        }
    }
    span.links.extend(sample.xray.as_ref().map(link));
    span
}

fn link_to_batch(batch: &Span) -> Link {
    Link {
        trace_id: batch.trace_id.clone(),
        span_id: batch.span_id.clone(),
        trace_state: String::new(),
        flags: LOCAL | SAMPLED,
        attributes: Attributes::new(),
        dropped_attributes: 0,
    }
}

fn record_attributes(sample: &Sample, start_unix_nano: u64) -> Attributes {
    let mut attributes = attributes([
        ("messaging.system", "aws_sqs".into()),
        ("messaging.operation.name", "process".into()),
        ("messaging.operation.type", "process".into()),
        ("messaging.destination.name", sample.queue().into()),
        ("messaging.message.id", (&*sample.record.message_id).into()),
        ("faas.trigger", "pubsub".into()),
    ]);
    let latency = sample.sent.map(|sent| queue_latency(sent, start_unix_nano));
    let is_last = sample.receive_count >= Some(MAX_RECEIVE_COUNT);
    let optional: [(&str, Option<AttributeValue>); 6] = [
        (
            "baton.sqs.receive_count",
            sample.receive_count.map(AttributeValue::from),
        ),
        ("baton.sqs.queue_latency", latency.map(AttributeValue::from)),
        (
            "baton.sqs.message_group_id",
            sample.group.clone().map(AttributeValue::from),
        ),
        (
            "baton.sqs.next_failure_dead_letters",
            is_last.then_some(true.into()),
        ),
        (
            "baton.context.invalid",
            sample.invalid.map(AttributeValue::from),
        ),
        (
            "error.type",
            error_type(sample.outcome).map(AttributeValue::from),
        ),
    ];
    for (key, value) in optional {
        attributes.extend(value.map(|value| (key.to_owned(), value)));
    }
    // The handler sets these only if it succeeds.
    let baggage = sample.baggage.filter(|_| sample.outcome == Outcome::Done);
    attributes.extend(baggage.map(|(key, value)| (format!("test.baggage.{key}"), value.into())));
    attributes
}

/// Returns the latency in seconds, or zero if the sender's clock is ahead.
fn queue_latency(sent: u64, start_unix_nano: u64) -> f64 {
    let (sent, start) = (
        Duration::from_millis(sent),
        Duration::from_nanos(start_unix_nano),
    );
    start.saturating_sub(sent).as_secs_f64()
}

fn error_type(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Done => None,
        Outcome::Fails => Some("told_to_fail"),
        Outcome::Refuses => Some("told_to_refuse"),
        Outcome::Panics => Some("panic"),
        Outcome::NoJson | Outcome::WrongForm => Some("invalid_body"),
        Outcome::Blocked => Some("message_group_blocked"),
    }
}

fn status(outcome: Outcome) -> Status {
    let message = match outcome {
        Outcome::Done => return unset(),
        Outcome::Fails => "busy",
        Outcome::Refuses => "wrong",
        Outcome::Panics => "the handler panicked: told to panic",
        Outcome::NoJson => "the body is not JSON: error at line 1 column 6",
        Outcome::WrongForm => {
            "the body does not match the handler's type: error at line 1 column 5"
        }
        Outcome::Blocked => "an earlier message of the message group failed",
    };
    Status {
        code: StatusCode::Error,
        message: message.to_owned(),
    }
}

fn unset() -> Status {
    Status {
        code: StatusCode::Unset,
        message: String::new(),
    }
}

/// Returns the fields that all spans share, with ids and times of the exported one.
fn common_fields(found: &Span) -> Span {
    assert!(
        is_id(&found.trace_id, 32) && is_id(&found.span_id, 16),
        "{found:#?}"
    );
    Span {
        trace_id: found.trace_id.clone(),
        span_id: found.span_id.clone(),
        parent_span_id: None,
        trace_state: String::new(),
        flags: 0,
        name: String::new(),
        kind: SpanKind::Consumer,
        start_unix_nano: found.start_unix_nano,
        end_unix_nano: found.end_unix_nano,
        attributes: Attributes::new(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        status: unset(),
        resource: resource(&found.resource).into(),
        scope: Scope {
            name: "baton.lambda".to_owned(),
            // One version for the whole workspace.
            version: env!("CARGO_PKG_VERSION").to_owned(),
            attributes: Attributes::new(),
            schema_url: SCHEMA_URL.to_owned(),
        }
        .into(),
        arrived_at: found.arrived_at,
    }
}

/// Returns the resource that follows from the variables of the fake Lambda.
fn resource(found: &Resource) -> Resource {
    let log_groups = AttributeValue::Array(vec!["/aws/lambda/under-test".into()]);
    let instance = "2026/11/21/[$LATEST]0123456789abcdef";
    let sdk_version = found.attributes["telemetry.sdk.version"].clone();
    Resource {
        attributes: attributes([
            ("service.name", FUNCTION_NAME.into()),
            ("cloud.provider", "aws".into()),
            ("cloud.platform", "aws_lambda".into()),
            ("cloud.region", REGION.into()),
            ("faas.name", FUNCTION_NAME.into()),
            ("faas.version", "$LATEST".into()),
            ("faas.instance", instance.into()),
            ("service.instance.id", instance.into()),
            ("faas.max_memory", (128_i64 << 20).into()),
            ("aws.log.group.names", log_groups),
            ("telemetry.sdk.language", "rust".into()),
            ("telemetry.sdk.name", "opentelemetry".into()),
            ("telemetry.sdk.version", sdk_version),
        ]),
        schema_url: SCHEMA_URL.to_owned(),
    }
}

fn attributes<const N: usize>(pairs: [(&str, AttributeValue); N]) -> Attributes {
    pairs
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}

/// Returns `true` for lower-case hex of this length that is not only zeros.
fn is_id(text: &str, length: usize) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == length && text.bytes().all(is_digit) && text.bytes().any(|byte| byte != b'0')
}
