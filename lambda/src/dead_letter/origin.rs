//! Whose trace context the message carries.

use baton_telemetry::{BAGGAGE, TRACEPARENT, TRACESTATE, XRAY_TRACE_ID_HEADER, parse_xray_header};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};

use crate::dead_letter::attributes::{Attribute, Value};
use crate::dead_letter::letter::Letter;
use crate::event::OTEL_PREFIX;

/// Bytes of a `traceparent` as SQS counts them: its name, its type `String`, and the 55 characters
/// of version 00.
const TRACEPARENT_BYTES: usize = 11 + 6 + 55;

/// The order in which fields get the free slots: what is lost first is what the trace needs least.
const PRECEDENCE: [&str; 3] = [TRACEPARENT, TRACESTATE, BAGGAGE];

/// Where the trace goes on from.
#[derive(Debug)]
pub(super) enum Origin {
    /// The send, whose context is put into the message.
    Send,
    /// A context that came with the message, and must stay as it is: a message attribute's, or
    /// where X-Ray is listed that of its `AWSTraceHeader`. `None` where an attribute is not valid.
    Message(Option<SpanContext>),
    /// Nothing: no propagator writes one, or there is no room.
    Nowhere,
}

/// What a propagator wrote.
#[derive(Debug, Default)]
pub(super) struct Carrier {
    /// For message attributes, in the order in which they get the free slots.
    pub(super) fields: Vec<(String, String)>,
    /// X-Ray's header, for which SQS has a place of its own.
    pub(super) trace_header: Option<String>,
}

/// A message's attributes, as a propagator reads them.
struct Attributes<'a> {
    attributes: &'a [Attribute],
    /// Prefix for the names that the propagator asks for.
    prefix: &'static str,
}

impl Origin {
    pub(super) fn of(letter: &Letter<'_>, propagator: &dyn TextMapPropagator) -> Self {
        let is_xray_listed = propagator.fields().any(is_xray);
        let identities = propagator.fields().filter(|field| is_identity(field));
        let identities: Vec<&str> = identities.collect();
        // The order matches the order in which carriers are tried for the record's context.
        let carriers = ["", OTEL_PREFIX].map(|prefix| Attributes {
            attributes: letter.attributes(),
            prefix,
        });
        let has_identity = |carrier: &&Attributes<'_>| {
            let mut identities = identities.iter();
            identities.any(|field| carrier.find(field).is_some())
        };
        let is_there = carriers.iter().any(|carrier| has_identity(&carrier));
        let extracted = carriers.iter().filter(has_identity).map(|carrier| {
            // Into an empty context: a propagator answers what it cannot read with the context it
            // was given.
            let context = propagator.extract_with_context(&Context::new(), carrier);
            context.span().span_context().clone()
        });
        let in_attributes = extracted.into_iter().find(SpanContext::is_valid);
        let in_header = || {
            let header = letter.trace_header().filter(|_| is_xray_listed)?;
            Some(parse_xray_header(header).ok()?.span_context)
        };
        let creation = in_attributes.or_else(in_header);
        let has_place = (!identities.is_empty() && letter.has_room_for(TRACEPARENT_BYTES))
            || (is_xray_listed && letter.trace_header().is_none());
        match creation {
            None if !is_there && has_place => Self::Send,
            None if !is_there => Self::Nowhere,
            creation => Self::Message(creation),
        }
    }

    /// What is to be added to the message for the trace to go on from `context`.
    pub(super) fn carrier(
        &self,
        letter: &Letter<'_>,
        propagator: &dyn TextMapPropagator,
        context: &Context,
    ) -> Carrier {
        let mut carrier = Carrier::default();
        if matches!(self, Self::Send) {
            let attributes = Attributes {
                attributes: letter.attributes(),
                prefix: "",
            };
            propagator.inject_context(context, &mut carrier);
            let is_free = |(field, _): &(String, String)| attributes.find(field).is_none();
            carrier.fields.retain(is_free);
            carrier.fields.sort_by_key(|(field, _)| rank(field));
            carrier.trace_header = carrier
                .trace_header
                .filter(|_| letter.trace_header().is_none());
        }
        carrier
    }
}

/// Whether a message attribute of this name is a context by itself. A tracestate or baggage is
/// none, and nobody looks for X-Ray's header there.
fn is_identity(field: &str) -> bool {
    field != TRACESTATE && field != BAGGAGE && !is_xray(field)
}

/// Whatever its case: other propagators than ours write the name in theirs.
fn is_xray(field: &str) -> bool {
    field.eq_ignore_ascii_case(XRAY_TRACE_ID_HEADER)
}

fn rank(field: &str) -> usize {
    let rank = PRECEDENCE.iter().position(|known| *known == field);
    rank.unwrap_or(PRECEDENCE.len())
}

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        match is_xray(key) {
            true => self.trace_header = Some(value),
            false => self.fields.push((key.to_owned(), value)),
        }
    }
}

impl<'a> Attributes<'a> {
    /// Names are compared without case; the exact one wins.
    fn find(&self, name: &str) -> Option<&'a Attribute> {
        let wanted = format!("{}{name}", self.prefix);
        let is_exact = |attribute: &&Attribute| attribute.name == wanted;
        let exact = self.attributes.iter().find(is_exact);
        let mut others = self.attributes.iter();
        exact.or_else(|| others.find(|attribute| attribute.name.eq_ignore_ascii_case(&wanted)))
    }
}

impl Extractor for Attributes<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match &self.find(key)?.value {
            Value::Text(text) => Some(text),
            Value::Bytes(_) => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        let names = self.attributes.iter();
        names
            .filter_map(|attribute| attribute.name.strip_prefix(self.prefix))
            .collect()
    }
}
