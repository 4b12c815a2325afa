//! Where a record's trace comes from.
//!
//! Carriers are tried in this order, each only if `OTEL_PROPAGATORS` lists its propagator: the
//! message attributes; the message attributes with the prefix `otel.`; an SNS notification in the
//! body, in its message attributes; an EventBridge event in the body (or in the notification), in
//! its own fields and then in `detail`; and with `xray`, the `AWSTraceHeader` that AWS put beside
//! the message. A malformed value counts as absent and is recorded in `baton.context.invalid`.
//!
//! EventBridge has no place for a W3C context. Senders that carry one write `traceparent` into
//! `detail`, as Elastic's agents and the `CloudEvents` extension for tracing do; fields of the
//! event itself can be added by a rule's input transformer only.

use std::borrow::Cow;
use std::fmt;

use baton_telemetry::{
    BAGGAGE, InvalidXrayHeader, Propagator, TRACEPARENT, TRACESTATE, check_baggage,
    parse_trace_context_noting, parse_xray_header, with_baggage, with_remote_parent,
};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceId};

use self::invalid::InvalidField;
use crate::event::{
    EventBridgeEnvelope, FieldValue, OTEL_PREFIX, Record, SnsNotification, TraceCarrier,
};

mod invalid;

pub(crate) use invalid::InvalidContext;

/// Where a context was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CarrierKind {
    MessageAttributes,
    /// Message attributes whose names begin with [`OTEL_PREFIX`].
    PrefixedAttributes,
    Sns,
    EventBridge,
    AwsTraceHeader,
}

impl CarrierKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::MessageAttributes | Self::PrefixedAttributes => "message attributes",
            Self::Sns => "SNS notification",
            Self::EventBridge => "EventBridge event",
            Self::AwsTraceHeader => "AWSTraceHeader",
        }
    }

    /// Prefix of the field names in this carrier.
    fn prefix(self) -> &'static str {
        match self {
            Self::PrefixedAttributes => OTEL_PREFIX,
            Self::MessageAttributes | Self::Sns | Self::EventBridge | Self::AwsTraceHeader => "",
        }
    }
}

/// How the contexts of records are found: the same for the whole process.
pub(crate) struct ContextExtractor {
    propagator: Propagator,
    samples_root: Box<dyn Fn(TraceId) -> bool + Send + Sync>,
}

impl ContextExtractor {
    /// `samples_root` says whether the sampler would keep a trace that begins with this id: it
    /// decides where X-Ray did not.
    pub(crate) fn new(
        propagator: Propagator,
        samples_root: impl Fn(TraceId) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            propagator,
            samples_root: Box::new(samples_root),
        }
    }

    /// Extracts the trace context of a record from its carriers.
    pub(crate) fn extract(&self, record: &Record<'_>) -> ProducerContext {
        let mut extraction = Extraction {
            propagator: self.propagator,
            context: ProducerContext::default(),
        };
        extraction.read_carrier(CarrierKind::MessageAttributes, record.trace_carrier());
        if !extraction.is_complete() {
            extraction.read_rare_carriers(record);
        }
        if let Some(header) = record.trace_header() {
            extraction.read_xray(&header, self);
        }
        extraction.context
    }

    /// Returns true if `OTEL_PROPAGATORS` lists `tracecontext`.
    pub(crate) fn has_trace_context(&self) -> bool {
        self.propagator.trace_context
    }
}

impl fmt::Debug for ContextExtractor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ContextExtractor")
            .field("propagator", &self.propagator)
            .finish_non_exhaustive()
    }
}

/// What the sender of a message said about its trace.
#[derive(Debug, Default)]
pub(crate) struct ProducerContext {
    /// The producer's span; `None` when there is none, and the record starts a trace of its own.
    pub(crate) parent: Option<SpanContext>,
    /// The span that X-Ray knows the message by, for a link; `None` when it is the parent.
    pub(crate) xray: Option<SpanContext>,
    /// Where `producer` was found.
    pub(crate) carrier: Option<CarrierKind>,
    /// What was there and did not count.
    pub(crate) invalid: Option<InvalidContext>,
    baggage: Option<Box<str>>,
}

impl ProducerContext {
    /// The context that the record's span is started in. There is no span in `root`: a record
    /// without a context must not become a child of whatever is active around it.
    pub(crate) fn parent_context(&self, root: &Context) -> Context {
        match &self.parent {
            Some(producer) => self.with_baggage(&with_remote_parent(root, producer.clone())),
            None => self.with_baggage(root),
        }
    }

    /// Returns `true` if the record starts a new trace although its `AWSTraceHeader` names a
    /// sampled span, and the record carries no other context.
    ///
    /// Returns `false` for `Sampled=0`, which AWS SDKs inside Lambda functions send without any
    /// tracing, and for a header without a sampling decision: the span may not exist in either
    /// case.
    pub(crate) fn is_link_only(&self) -> bool {
        self.parent.is_none()
            && self.invalid.is_none()
            && self.xray.as_ref().is_some_and(SpanContext::is_sampled)
    }

    /// The context with the sender's baggage in it.
    pub(crate) fn with_baggage(&self, context: &Context) -> Context {
        match &self.baggage {
            Some(baggage) => with_baggage(context, baggage),
            None => context.clone(),
        }
    }
}

/// An origin while carriers are tried.
struct Extraction {
    propagator: Propagator,
    context: ProducerContext,
}

impl Extraction {
    /// Whether other W3C carriers need no look. Baggage alone is no reason to look where the parent
    /// is known.
    fn is_complete(&self) -> bool {
        match self.propagator.trace_context {
            true => self.context.parent.is_some(),
            false => !self.propagator.baggage || self.context.baggage.is_some(),
        }
    }

    /// Tries the carriers that few records have: prefixed attributes, then envelopes in the body.
    fn read_rare_carriers(&mut self, record: &Record<'_>) {
        if let Some(prefixed) = record.prefixed_trace_carrier() {
            self.read_carrier(CarrierKind::PrefixedAttributes, prefixed);
        }
        if !self.is_complete()
            && let Some(body) = record.envelope_body()
        {
            self.read_envelope(&body);
        }
    }

    /// The SNS notification or the EventBridge event in a body, or the one in the other.
    fn read_envelope(&mut self, body: &str) {
        let Some(notification) = SnsNotification::read(body) else {
            return self.read_event_bridge(body);
        };
        self.read_carrier(CarrierKind::Sns, notification.trace_carrier());
        if !self.is_complete()
            && let Some(message) = notification.message()
        {
            self.read_event_bridge(&message);
        }
    }

    fn read_event_bridge(&mut self, text: &str) {
        let carriers = EventBridgeEnvelope::read(text).map(|event| event.trace_carriers());
        for carrier in carriers.into_iter().flatten() {
            if !self.is_complete() {
                self.read_carrier(CarrierKind::EventBridge, carrier);
            }
        }
    }

    /// Only while the search is not over: with trace context listed, no parent is known yet.
    fn read_carrier(&mut self, carrier: CarrierKind, found: TraceCarrier<'_>) {
        if self.propagator.trace_context {
            self.read_parent(carrier, found.traceparent, found.tracestate);
        }
        if self.propagator.baggage && self.context.baggage.is_none() {
            self.read_baggage(carrier, found.baggage);
        }
    }

    fn read_parent(&mut self, carrier: CarrierKind, parent: FieldValue<'_>, state: FieldValue<'_>) {
        let is_alone = parent == FieldValue::Absent;
        let (parent, state) = (
            self.field_text(carrier, TRACEPARENT, parent),
            self.field_text(carrier, TRACESTATE, state),
        );
        let Some(parent) = parent else {
            if is_alone && state.is_some_and(|state| has_members(&state)) {
                self.add_invalid(carrier, InvalidField::TracestateAlone);
            }
            return;
        };
        let add_invalid = |reason| self.add_invalid(carrier, InvalidField::Tracestate(reason));
        match parse_trace_context_noting(&parent, state.as_deref(), add_invalid) {
            Ok(producer) => {
                self.context.parent = Some(producer);
                self.context.carrier = Some(carrier);
            }
            Err(reason) => self.add_invalid(carrier, InvalidField::Traceparent(reason)),
        }
    }

    /// Only baggage that says something counts as found: of other carriers the next one is tried.
    fn read_baggage(&mut self, carrier: CarrierKind, baggage: FieldValue<'_>) {
        let Some(baggage) = self.field_text(carrier, BAGGAGE, baggage) else {
            return;
        };
        let add_invalid = |reason| self.add_invalid(carrier, InvalidField::Baggage(reason));
        if check_baggage(&baggage, add_invalid) {
            self.context.baggage = Some(baggage.into());
        }
    }

    /// A parent when `xray` is listed and nothing else counted; otherwise a link.
    fn read_xray(&mut self, header: &str, extractor: &ContextExtractor) {
        let is_carrier = self.propagator.xray && self.context.parent.is_none();
        match parse_xray_header(header) {
            Ok(context) if is_carrier => {
                self.context.parent = Some(context.into_parent(&extractor.samples_root));
                self.context.carrier = Some(CarrierKind::AwsTraceHeader);
            }
            Ok(context) => self.context.xray = Some(context.span_context),
            // AWS writes such headers itself where nothing was traced: they name no span, and are
            // not wrong.
            Err(InvalidXrayHeader::NoParent) => {}
            Err(reason) => {
                self.add_invalid(CarrierKind::AwsTraceHeader, InvalidField::Xray(reason))
            }
        }
    }

    fn field_text<'a>(
        &mut self,
        carrier: CarrierKind,
        part: &'static str,
        value: FieldValue<'a>,
    ) -> Option<Cow<'a, str>> {
        let reason = match value {
            FieldValue::Absent => return None,
            FieldValue::Text(text) => return Some(text),
            FieldValue::NotText => InvalidField::NotText(part),
            FieldValue::Ambiguous => InvalidField::Ambiguous(part),
        };
        self.add_invalid(carrier, reason);
        None
    }

    fn add_invalid(&mut self, carrier: CarrierKind, reason: InvalidField) {
        let invalid = self.context.invalid.get_or_insert_default();
        invalid.add(carrier, reason);
    }
}

/// Lists of nothing but separators say nothing, and are not wrong.
fn has_members(list: &str) -> bool {
    list.bytes().any(|byte| !b" \t,".contains(&byte))
}

#[cfg(test)]
mod tests;
