//! The trace context of a message: its source, and the part of it that fits into the message.
//!
//! SQS accepts ten attributes and no empty value, and the W3C fields need up to three of the ten.
//! The attributes that the caller added come first, then `traceparent`, `tracestate`, `baggage` and
//! the fields of other propagators, then the optional attributes. X-Ray's header takes no slot: it
//! is a system attribute.

use std::sync::Once;

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use tracing::warn;

use crate::added_attributes::{AddedAttributes, BAGGAGE, TRACEPARENT, TRACESTATE};
use crate::limits::MAX_ATTRIBUTES;
use crate::message::{Attribute, AttributeValue, OutgoingMessage, Provenance};

pub(crate) const XRAY_TRACE_ID_HEADER: &str = "X-Amzn-Trace-Id";

/// Number of hexadecimal digits of the first part of a trace id in X-Ray's form.
const XRAY_EPOCH_DIGITS: usize = 8;

/// The order in which fields get the free slots, the most important field first.
const PRECEDENCE: [&str; 3] = [TRACEPARENT, TRACESTATE, BAGGAGE];

/// Size of a `traceparent` as SQS counts it: its name, its type `String`, and the 55 characters of
/// version 00.
pub(crate) const TRACEPARENT_BYTES: usize = 11 + 6 + 55;

/// Prefixes of the names under which a received message may carry a trace context.
/// `opentelemetry-instrumentation-boto3sqs` before 0.34b0 adds `otel.`.
const RECEIVED_PREFIXES: [&str; 2] = ["", "otel."];
/// Prefixes for a message that the program created: none, because no consumer expects one.
const CREATED_PREFIXES: [&str; 1] = [""];

/// The source of the trace context that a message carries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ContextSource {
    /// The span of the send.
    Send,
    /// The caller, who put a context into the message: into its attributes or, where X-Ray is
    /// listed, into its `AWSTraceHeader`. `None` if the context is not valid.
    Message(Option<SpanContext>),
    /// No source: no propagator writes a trace context, or the message has no room for one.
    Missing,
}

/// The fields that a propagator wrote.
#[derive(Debug, Default)]
pub(crate) struct ContextFields {
    fields: Vec<(String, String)>,
    /// X-Ray's header.
    trace_header: Option<String>,
}

/// A message's attributes as a propagator reads them.
struct AttributeCarrier<'a> {
    attributes: &'a [Attribute],
    /// Prefix of the names in the message.
    prefix: &'static str,
}

/// The attribute slots and the bytes of a message that are free.
struct FreeSpace {
    slots: usize,
    bytes: usize,
}

impl ContextSource {
    /// Determines the source before the span of the send starts, because the span's kind and links
    /// depend on it.
    pub(crate) fn detect(message: &OutgoingMessage, propagator: &dyn TextMapPropagator) -> Self {
        let is_xray_listed = propagator.fields().any(is_xray);
        let identities: Vec<&str> = propagator
            .fields()
            .filter(|field| is_trace_identity(field))
            .collect();
        let carriers = find_carriers(message, &identities);
        let from_attributes = carriers
            .iter()
            .map(|carrier| extract(propagator, carrier))
            .find(SpanContext::is_valid);
        let from_header = || {
            let header = message.trace_header.as_ref().filter(|_| is_xray_listed)?;
            header.span_context.clone()
        };
        let creation = from_attributes.or_else(from_header);
        if !carriers.is_empty() || creation.is_some() {
            return Self::Message(creation);
        }
        let free = FreeSpace::new(message);
        let fits_attributes = !identities.is_empty() && free.fits(TRACEPARENT_BYTES);
        let fits_header = is_xray_listed && message.trace_header.is_none();
        if fits_attributes || fits_header {
            Self::Send
        } else {
            Self::Missing
        }
    }

    /// Decides which fields of `context` and which optional attributes are added to the message.
    ///
    /// Attributes that the message has are never replaced. If the message carries a trace context,
    /// only baggage is added to it, because a `tracestate` belongs to the `traceparent` that it
    /// came with; nothing is added to a received message that carries one.
    pub(crate) fn select_attributes(
        &self,
        message: &OutgoingMessage,
        propagator: &dyn TextMapPropagator,
        context: &Context,
    ) -> AddedAttributes {
        let mut fields = ContextFields::default();
        propagator.inject_context(context, &mut fields);
        let is_from_message = matches!(self, Self::Message(_));
        if is_from_message && message.provenance == Provenance::Received {
            fields = ContextFields::default();
        } else if is_from_message {
            fields.retain_baggage();
        }
        fill_free_space(message, fields)
    }
}

/// Fills the free slots and bytes of the message with context fields, then optional attributes.
fn fill_free_space(message: &OutgoingMessage, fields: ContextFields) -> AddedAttributes {
    let mut added = AddedAttributes {
        dropped_optional: message.omitted_attributes.clone(),
        ..AddedAttributes::default()
    };
    if message.trace_header.is_none() {
        added.trace_header.clone_from(&fields.trace_header);
    }
    let mut free = FreeSpace::new(message);
    let present = AttributeCarrier::new(message, "");
    for (name, value) in fields.into_sorted() {
        // SQS rejects an empty value, and an empty field has no information to lose.
        if value.is_empty() || present.find(&name).is_some() {
            continue;
        }
        // A `tracestate` is meaningful only with the `traceparent` that it was written with.
        let is_orphaned = name == TRACESTATE
            && added
                .dropped_context
                .iter()
                .any(|field| field == TRACEPARENT);
        let field = Attribute::text(name, value);
        if !is_orphaned && field.check().is_ok() && free.reserve(field.size()) {
            added.context.push(field);
        } else {
            added.dropped_context.push(field.name);
        }
    }
    // An attribute that does not fit does not end the loop: a smaller one after it may fit.
    for attribute in &message.optional_attributes {
        if attribute.value.is_empty() {
            continue;
        }
        if free.reserve(attribute.size()) {
            added.optional.push(attribute.clone());
        } else {
            added.dropped_optional.push(attribute.name.clone());
        }
    }
    added
}

/// Returns the carriers that have one of the fields that identify a trace. The order of the
/// prefixes is the one in which the consumer looks for the context of a record.
fn find_carriers<'a>(
    message: &'a OutgoingMessage,
    identities: &[&str],
) -> Vec<AttributeCarrier<'a>> {
    let prefixes: &[&'static str] = match message.provenance {
        Provenance::Created => &CREATED_PREFIXES,
        Provenance::Received => &RECEIVED_PREFIXES,
    };
    let carriers = prefixes
        .iter()
        .map(|prefix| AttributeCarrier::new(message, prefix));
    let has_identity = |carrier: &AttributeCarrier<'_>| {
        identities.iter().any(|field| carrier.find(field).is_some())
    };
    carriers.filter(has_identity).collect()
}

/// Extracts into an empty context, because a propagator returns the context that it was given if it
/// cannot read the carrier.
fn extract(propagator: &dyn TextMapPropagator, carrier: &AttributeCarrier<'_>) -> SpanContext {
    let context = propagator.extract_with_context(&Context::new(), carrier);
    context.span().span_context().clone()
}

/// Returns `true` for fields that identify a trace without another field, as `traceparent` does and
/// `tracestate` and `baggage` do not. Consumers look for X-Ray's header in the system attribute, so
/// a message attribute of that name does not identify a trace either.
fn is_trace_identity(field: &str) -> bool {
    field != TRACESTATE && field != BAGGAGE && !is_xray(field)
}

/// Compares case-insensitively, because other X-Ray propagators write the name in lower case.
fn is_xray(field: &str) -> bool {
    field.eq_ignore_ascii_case(XRAY_TRACE_ID_HEADER)
}

/// Logs a warning, once in the process, if messages cannot carry a trace context.
pub(crate) fn warn_without_propagator(propagator: &dyn TextMapPropagator) {
    static WARNING: Once = Once::new();
    if propagator.fields().next().is_none() {
        WARNING.call_once(|| {
            warn!(
                "messages are sent without a trace context, because no propagator is set: \
                 opentelemetry::global::set_text_map_propagator sets one"
            );
        });
    }
}

/// Returns X-Ray's header for a span: the trace id in X-Ray's form (with the same digits), the span
/// id and the sampling decision (X-Ray Developer Guide, "Tracing header").
pub(crate) fn xray_header(span: &SpanContext) -> Option<String> {
    if !span.is_valid() {
        return None;
    }
    let trace_id = span.trace_id().to_string();
    let (epoch, unique) = trace_id.split_at(XRAY_EPOCH_DIGITS);
    let sampled = u8::from(span.is_sampled());
    let span_id = span.span_id();
    Some(format!(
        "Root=1-{epoch}-{unique};Parent={span_id};Sampled={sampled}"
    ))
}

impl FreeSpace {
    fn new(message: &OutgoingMessage) -> Self {
        Self {
            slots: MAX_ATTRIBUTES.saturating_sub(message.attributes.len()),
            bytes: message.max_bytes.saturating_sub(message.size()),
        }
    }

    fn fits(&self, bytes: usize) -> bool {
        self.slots > 0 && bytes <= self.bytes
    }

    /// Reserves a slot and these bytes. Returns `false` if they are not free.
    fn reserve(&mut self, bytes: usize) -> bool {
        let fits = self.fits(bytes);
        if fits {
            self.slots -= 1;
            self.bytes -= bytes;
        }
        fits
    }
}

impl ContextFields {
    fn retain_baggage(&mut self) {
        self.fields.retain(|(name, _)| name == BAGGAGE);
        self.trace_header = None;
    }

    fn into_sorted(mut self) -> Vec<(String, String)> {
        self.fields.sort_by_key(|(name, _)| {
            let rank = PRECEDENCE.iter().position(|field| field == name);
            rank.unwrap_or(PRECEDENCE.len())
        });
        self.fields
    }
}

impl Injector for ContextFields {
    fn set(&mut self, key: &str, value: String) {
        if is_xray(key) {
            self.trace_header = Some(value).filter(|header| !header.is_empty());
            return;
        }
        match self.fields.iter_mut().find(|(name, _)| name == key) {
            Some((_, present)) => *present = value,
            None => self.fields.push((key.to_owned(), value)),
        }
    }
}

impl<'a> AttributeCarrier<'a> {
    fn new(message: &'a OutgoingMessage, prefix: &'static str) -> Self {
        Self {
            attributes: &message.attributes,
            prefix,
        }
    }

    /// Finds an attribute. Names are compared case-insensitively; an exact match takes precedence.
    fn find(&self, name: &str) -> Option<&'a Attribute> {
        let wanted = format!("{}{name}", self.prefix);
        let exact = self
            .attributes
            .iter()
            .find(|attribute| attribute.name == wanted);
        let mut others = self.attributes.iter();
        exact.or_else(|| others.find(|attribute| attribute.name.eq_ignore_ascii_case(&wanted)))
    }
}

impl Extractor for AttributeCarrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match &self.find(key)?.value {
            AttributeValue::String(text) => Some(text),
            AttributeValue::Number(_) | AttributeValue::Binary(_) => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        let names = self.attributes.iter();
        names
            .filter_map(|attribute| attribute.name.strip_prefix(self.prefix))
            .collect()
    }
}

#[cfg(test)]
mod tests;
