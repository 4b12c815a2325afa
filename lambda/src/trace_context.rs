//! Extraction of a record's trace context.
//!
//! Carriers are read in this order, each only if `OTEL_PROPAGATORS` lists its propagator: the
//! message attributes; the message attributes with the prefix `otel.`; the message attributes of an
//! SNS notification in the body; an EventBridge event in the body (or in the notification), first
//! its own fields and then those of `detail`; the message attributes again, with the propagators
//! that the program provides; and with `xray`, the system attribute `AWSTraceHeader`. A malformed
//! value counts as absent and is recorded in `baton.context.invalid`.
//!
//! EventBridge defines no field for a W3C context. Senders write `traceparent` into `detail`, as
//! Elastic's agents and the `CloudEvents` extension for tracing do. Only the input transformer of a
//! rule can add fields to the event itself.

use std::borrow::Cow;
use std::fmt;

use baton_telemetry::{
    BAGGAGE, InvalidXrayHeader, Propagator, TRACEPARENT, TRACESTATE, check_baggage,
    parse_trace_context_with, parse_xray_header, with_baggage, with_remote_parent,
};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceId};

use self::invalid::InvalidField;
use crate::event::{
    EventBridgeEnvelope, FieldValue, OTEL_PREFIX, SnsNotification, SqsRecord, TraceCarrier,
};

mod additional;
mod invalid;

pub(crate) use additional::{AdditionalExtractor, check_telemetry};
pub(crate) use invalid::InvalidContext;

/// Carrier of a trace context.
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

    /// Returns the prefix of the field names in this carrier.
    fn prefix(self) -> &'static str {
        match self {
            Self::PrefixedAttributes => OTEL_PREFIX,
            Self::MessageAttributes | Self::Sns | Self::EventBridge | Self::AwsTraceHeader => "",
        }
    }
}

/// Extracts the trace contexts of records. One per process.
pub(crate) struct ContextExtractor {
    propagator: Propagator,
    /// Extractor with the propagators that the program provides. It is used where the other
    /// carriers contain no trace context.
    pub(crate) additional: Option<AdditionalExtractor>,
    samples_root: Box<dyn Fn(TraceId) -> bool + Send + Sync>,
}

impl ContextExtractor {
    /// Creates an extractor. `samples_root` returns whether the sampler samples a new trace with
    /// this id. It decides for X-Ray headers that do not sample the trace.
    pub(crate) fn new(
        propagator: Propagator,
        samples_root: impl Fn(TraceId) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            propagator,
            additional: None,
            samples_root: Box::new(samples_root),
        }
    }

    /// Extracts the trace context of a record from its carriers.
    pub(crate) fn extract(&self, record: &SqsRecord<'_>) -> ProducerContext {
        let mut extraction = Extraction {
            propagator: self.propagator,
            context: ProducerContext::default(),
        };
        extraction.read_carrier(CarrierKind::MessageAttributes, record.trace_carrier());
        if !extraction.is_complete() {
            extraction.read_rare_carriers(record);
        }
        if extraction.context.parent.is_none()
            && let Some(additional) = &self.additional
        {
            extraction.read_additional(record, additional);
        }
        if let Some(header) = record.trace_header() {
            extraction.read_xray(&header, self);
        }
        extraction.context
    }

    /// Returns `true` if `OTEL_PROPAGATORS` lists `tracecontext`.
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

/// Trace context that a message carries.
#[derive(Debug, Default)]
pub(crate) struct ProducerContext {
    /// The producer's span. `None` if the message carries no valid context and starts a new trace.
    pub(crate) parent: Option<SpanContext>,
    /// The span in `AWSTraceHeader`, for a link. `None` if it is the parent.
    pub(crate) xray: Option<SpanContext>,
    /// Carrier of `parent`.
    pub(crate) carrier: Option<CarrierKind>,
    /// Parts of the context that were ignored.
    pub(crate) invalid: Option<InvalidContext>,
    baggage: Option<Box<str>>,
}

impl ProducerContext {
    /// Returns the context in which the record's span starts. `root` must hold no span, because a
    /// record without a context must not become a child of an unrelated span.
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

    /// Returns `context` with the producer's baggage.
    pub(crate) fn with_baggage(&self, context: &Context) -> Context {
        match &self.baggage {
            Some(baggage) => with_baggage(context, baggage),
            None => context.clone(),
        }
    }
}

/// State of an extraction while carriers are read.
struct Extraction {
    propagator: Propagator,
    context: ProducerContext,
}

impl Extraction {
    /// Returns `true` if no other W3C carrier needs to be read. Once the parent is known, no
    /// carrier is read for baggage alone, because that would cost every record without baggage a
    /// scan of its body.
    fn is_complete(&self) -> bool {
        if self.propagator.trace_context {
            self.context.parent.is_some()
        } else {
            !self.propagator.baggage || self.context.baggage.is_some()
        }
    }

    /// Reads the carriers that few records have: prefixed attributes, then envelopes in the body.
    fn read_rare_carriers(&mut self, record: &SqsRecord<'_>) {
        if let Some(prefixed) = record.prefixed_trace_carrier() {
            self.read_carrier(CarrierKind::PrefixedAttributes, prefixed);
        }
        if !self.is_complete()
            && let Some(body) = record.envelope_body()
        {
            self.read_envelope(&body);
        }
    }

    /// Reads an SNS notification, an EventBridge event, or an event in a notification.
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

    /// Reads a carrier. Must be called only while the extraction is not complete: it would replace
    /// the parent.
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
        match parse_trace_context_with(&parent, state.as_deref(), add_invalid) {
            Ok(producer) => {
                self.context.parent = Some(producer);
                self.context.carrier = Some(carrier);
            }
            Err(reason) => self.add_invalid(carrier, InvalidField::Traceparent(reason)),
        }
    }

    /// Reads baggage. Baggage without a valid member counts as absent, so that the next carrier is
    /// read.
    fn read_baggage(&mut self, carrier: CarrierKind, baggage: FieldValue<'_>) {
        let Some(baggage) = self.field_text(carrier, BAGGAGE, baggage) else {
            return;
        };
        let add_invalid = |reason| self.add_invalid(carrier, InvalidField::Baggage(reason));
        if check_baggage(&baggage, add_invalid) {
            self.context.baggage = Some(baggage.into());
        }
    }

    /// Reads the message attributes with the propagators that the program provides.
    fn read_additional(&mut self, record: &SqsRecord<'_>, additional: &AdditionalExtractor) {
        if let Some((parent, baggage)) = additional.read(record) {
            self.context.parent = Some(parent);
            self.context.carrier = Some(CarrierKind::MessageAttributes);
            self.context.baggage = self.context.baggage.take().or(baggage);
        }
    }

    /// Reads `AWSTraceHeader`. It becomes the parent if `xray` is listed and no other carrier had a
    /// valid context, and otherwise a link.
    fn read_xray(&mut self, header: &str, extractor: &ContextExtractor) {
        let is_carrier = self.propagator.xray && self.context.parent.is_none();
        match parse_xray_header(header) {
            Ok(context) if is_carrier => {
                self.context.parent = Some(context.into_parent(&extractor.samples_root));
                self.context.carrier = Some(CarrierKind::AwsTraceHeader);
            }
            Ok(context) => self.context.xray = Some(context.span_context),
            // AWS adds such headers to requests that are not traced. They are valid but name no
            // span.
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

/// Returns `true` if a list has members. A list of separators only is empty and valid.
fn has_members(list: &str) -> bool {
    list.bytes().any(|byte| !b" \t,".contains(&byte))
}

#[cfg(test)]
mod tests;
