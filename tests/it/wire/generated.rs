//! Generated records with all kinds of contexts and outcomes, and the spans that follow from them.

use baton_test_support::Record;
use serde_json::json;

/// A `tracestate` of two vendors.
const TRACE_STATE: &str = "vendor=t61rcWkgMzE,other@system=00f067aa0ba902b7";
/// `SentTimestamp` of a message that waited for years.
const LONG_AGO: u64 = 1_500_000_000_123;
/// `SentTimestamp` of a message from a clock that is ahead.
const AHEAD: u64 = 4_000_000_000_000;

/// A record, and everything about it that its span shows.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) record: Record,
    pub(super) producer: Option<Producer>,
    /// The X-Ray span of the message.
    pub(super) xray: Option<Producer>,
    /// The part of the record's context that is ignored, with the reason.
    pub(super) invalid: Option<&'static str>,
    pub(super) baggage: Option<(&'static str, &'static str)>,
    pub(super) receive_count: Option<i64>,
    pub(super) sent: Option<u64>,
    pub(super) group: Option<String>,
    pub(super) outcome: Outcome,
}

/// The span in which the message was sent.
#[derive(Debug, Clone)]
pub(super) struct Producer {
    pub(super) trace_id: String,
    pub(super) span_id: String,
    pub(super) flags: u32,
    pub(super) trace_state: &'static str,
}

/// `BATON_TRACE_SHAPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Continue,
    Batch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Fails,
    Refuses,
    Panics,
    NoJson,
    WrongForm,
    /// Not handled, because an earlier message of its group failed.
    Blocked,
}

impl Outcome {
    /// The length is coprime to the number of contexts, so that every outcome meets every context.
    const CYCLE: [Self; 11] = [
        Self::Done,
        Self::Done,
        Self::Fails,
        Self::Done,
        Self::Done,
        Self::Panics,
        Self::Done,
        Self::NoJson,
        Self::Refuses,
        Self::Done,
        Self::WrongForm,
    ];

    pub(super) fn is_failure(self) -> bool {
        self != Self::Done
    }
}

impl Sample {
    /// Returns a message on a standard queue.
    pub(super) fn generate(number: u64) -> Self {
        let index = usize::try_from(number).unwrap();
        let outcome = Outcome::CYCLE[index % Outcome::CYCLE.len()];
        let body = match outcome {
            Outcome::Done | Outcome::Blocked => json!({"baggage": true}).to_string(),
            Outcome::Fails => json!({"fail": "busy"}).to_string(),
            Outcome::Refuses => json!({"refuse": "wrong"}).to_string(),
            Outcome::Panics => json!({"panic": true}).to_string(),
            Outcome::NoJson => "{\"fail".to_owned(),
            Outcome::WrongForm => "[true]".to_owned(),
        };
        let sample = Self {
            record: Record::new(number).body(body),
            producer: None,
            xray: None,
            invalid: None,
            baggage: None,
            receive_count: Some(1),
            sent: None,
            group: None,
            outcome,
        };
        sample
            .with_context(number)
            .with_xray(number)
            .with_receive_count(number)
            .with_sent(number)
            .with_group(number)
    }

    /// Returns a message on a FIFO queue, in one of seven groups. In each group the first failure
    /// blocks the rest.
    pub(super) fn generate_fifo(number: u64) -> Self {
        let group = number % 7;
        let mut sample = Self::generate(number).with_queue("orders.fifo");
        let name = format!("group-{group}");
        sample.record = sample.record.attribute("MessageGroupId", &name);
        sample.group = Some(name);
        let mut earlier = (0..number).filter(|other| other % 7 == group);
        if earlier.any(|other| Self::generate(other).outcome.is_failure()) {
            sample.outcome = Outcome::Blocked;
        }
        sample
    }

    pub(super) fn with_queue(mut self, name: &str) -> Self {
        self.record = self.record.queue(name);
        self
    }

    /// Returns the name of the queue.
    pub(super) fn queue(&self) -> &str {
        self.record.event_source_arn.rsplit(':').next().unwrap()
    }

    /// Returns `true` if the record's span is sampled. If the producer's trace is continued, the
    /// producer decides.
    pub(super) fn is_exported(&self, shape: Shape) -> bool {
        let sampled = |producer: &Producer| producer.flags & 1 == 1;
        shape == Shape::Batch || self.producer.as_ref().is_none_or(sampled)
    }

    fn with_context(self, number: u64) -> Self {
        let id = Record::trace_id(number);
        let parent = Record::span_id(number);
        match number % 12 {
            0 => self.traceparent(number, &format!("00-{id}-{parent}-01"), 1),
            1 => self.mixed_case_traceparent(number, &format!("00-{id}-{parent}-01")),
            2 => self,
            3 => self.traceparent(number, &format!("00-{id}-{parent}-00"), 0),
            4 => self
                .traceparent(number, &format!("00-{id}-{parent}-03"), 3)
                .trace_state(TRACE_STATE, TRACE_STATE),
            5 => self
                .traceparent(number, &format!("00-{id}-{parent}-01"), 1)
                .baggage("tenant=blue"),
            6 => {
                let upper = id.to_uppercase();
                self.invalid(
                    format!("00-{upper}-{parent}-01"),
                    "message attributes: traceparent has an invalid trace id",
                )
            }
            7 => self.invalid(
                format!("00-{id}-{parent}"),
                "message attributes: traceparent has the wrong length",
            ),
            // An invalid `tracestate` does not invalidate `traceparent`.
            8 => self
                .traceparent(number, &format!("00-{id}-{parent}-01"), 1)
                .bad_trace_state("vendor"),
            // A future version may have more fields, and unknown flags are ignored.
            9 => self.traceparent(number, &format!("cc-{id}-{parent}-ff-more"), 3),
            10 => self
                .traceparent(number, &format!("00-{id}-{parent}-02"), 2)
                .trace_state(TRACE_STATE, TRACE_STATE),
            _ => self.baggage("tenant=blue"),
        }
    }

    fn traceparent(mut self, number: u64, header: &str, flags: u32) -> Self {
        self.record = self.record.message_attribute("traceparent", header);
        self.producer = Some(Producer {
            trace_id: Record::trace_id(number),
            span_id: Record::span_id(number),
            flags,
            trace_state: "",
        });
        self
    }

    fn trace_state(mut self, header: &str, expected: &'static str) -> Self {
        self.record = self.record.message_attribute("tracestate", header);
        if let Some(producer) = &mut self.producer {
            producer.trace_state = expected;
        }
        self
    }

    fn bad_trace_state(mut self, header: &str) -> Self {
        self.invalid = Some("message attributes: tracestate has a member that is not allowed");
        self.trace_state(header, "")
    }

    /// The names of message attributes are matched without regard to case.
    fn mixed_case_traceparent(self, number: u64, header: &str) -> Self {
        let mut sample = self.traceparent(number, header, 1);
        let attributes = &mut sample.record.message_attributes;
        let value = attributes.remove("traceparent").unwrap();
        attributes.insert("TraceParent".to_owned(), value);
        sample
    }

    /// AWS adds the X-Ray header to messages. With a span in it, it becomes a link. It is neither
    /// the parent nor a sampling decision.
    fn with_xray(mut self, number: u64) -> Self {
        let (id, parent) = (format!("{number:024x}"), format!("c0ffee00{number:08x}"));
        let (header, flags) = match number % 13 {
            0 => (
                format!("Root=1-69200000-{id};Parent={parent};Sampled=1"),
                Some(1),
            ),
            3 => (
                format!("Root=1-69200000-{id};Parent={parent};Sampled=0"),
                Some(0),
            ),
            6 => (format!("Root=1-69200000-{id};Sampled=0"), None),
            _ => return self,
        };
        self.record = self.record.attribute("AWSTraceHeader", header);
        self.xray = flags.map(|flags| Producer {
            trace_id: format!("69200000{id}"),
            span_id: parent,
            flags,
            trace_state: "",
        });
        self
    }

    fn invalid(mut self, header: String, reason: &'static str) -> Self {
        self.record = self.record.message_attribute("traceparent", header);
        self.invalid = Some(reason);
        self
    }

    fn baggage(mut self, header: &'static str) -> Self {
        self.record = self.record.message_attribute("baggage", header);
        self.baggage = header.split_once('=');
        self
    }

    fn with_receive_count(mut self, number: u64) -> Self {
        let (text, count) = match number % 5 {
            0 => ("1", Some(1)),
            1 => ("2", Some(2)),
            2 => ("1000", Some(1000)),
            3 => ("often", None),
            _ => {
                self.record = self.record.without_attribute("ApproximateReceiveCount");
                self.receive_count = None;
                return self;
            }
        };
        self.record = self.record.attribute("ApproximateReceiveCount", text);
        self.receive_count = count;
        self
    }

    fn with_sent(mut self, number: u64) -> Self {
        self.sent = match number % 7 {
            0..=3 => Some(LONG_AGO + number),
            4 => Some(AHEAD),
            _ => None,
        };
        self.record = match (self.sent, number % 7) {
            (Some(sent), _) => self.record.attribute("SentTimestamp", sent),
            (None, 5) => self.record.attribute("SentTimestamp", "yesterday"),
            (None, _) => self.record.without_attribute("SentTimestamp"),
        };
        self
    }

    /// On a standard queue the message group only affects fairness and is not on the span.
    fn with_group(mut self, number: u64) -> Self {
        if number.is_multiple_of(2) {
            self.record = self.record.attribute("MessageGroupId", number % 3);
        }
        self
    }
}
