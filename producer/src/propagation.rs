//! Which context fields fit into a message beside the caller's own attributes.
//!
//! SQS takes ten attributes and no empty value, and the W3C fields need up to three of the ten. The
//! caller's come first, then `traceparent`, `tracestate` and `baggage`, then whatever another
//! propagator writes. X-Ray's header is no attribute: SQS has a place of its own for it, which
//! takes no slot.

use baton_sqs::{AddedAttributes, TextAttribute};
use opentelemetry::propagation::{Extractor, Injector};

use crate::message::{self, Attribute, AttributeValue, MAX_ATTRIBUTES, MAX_MESSAGE_BYTES, Message};

// The names that `baton-telemetry` has as well: the sender alone, without the feature `api`, does
// not depend on it.
pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";
pub(crate) const BAGGAGE: &str = "baggage";
const XRAY_TRACE_ID_HEADER: &str = "X-Amzn-Trace-Id";

/// The order in which fields get the free slots: what is lost first is what the trace needs least.
const PRECEDENCE: [&str; 3] = [TRACEPARENT, TRACESTATE, BAGGAGE];

/// What a propagator wrote, in its order.
#[derive(Debug, Default)]
pub(crate) struct Carrier(Vec<(String, String)>);

/// A message's attributes, as a propagator reads them. Names are compared without case; the exact
/// one wins.
pub(crate) struct CallerContext<'a>(pub(crate) &'a [Attribute]);

/// Whether the caller put a trace context into the message: any field of the propagator that is not
/// a mere companion of one.
pub(crate) fn has_trace_context(message: &Message, fields: &[String]) -> bool {
    let attributes = CallerContext(&message.attributes);
    fields
        .iter()
        .any(|field| is_trace_identity(field) && attributes.find(field).is_some())
}

/// Whether a propagator of these fields says which span a message comes from.
pub(crate) fn tells_of_a_span(fields: &[String]) -> bool {
    fields
        .iter()
        .any(|field| is_trace_identity(field) || is_xray(field))
}

/// Decides which fields of `carrier` go into the message.
///
/// Nothing that the caller put in is overwritten. When the caller brought a trace context, ours
/// stays out altogether: a `tracestate` belongs to the `traceparent` beside it, and to no other.
pub(crate) fn place(
    message: &Message,
    caller_has_trace_context: bool,
    carrier: Carrier,
) -> AddedAttributes {
    let mut added = AddedAttributes::default();
    let mut free_slots = MAX_ATTRIBUTES.saturating_sub(message.attributes.len());
    let mut free_bytes = MAX_MESSAGE_BYTES.saturating_sub(message.size());
    let callers = CallerContext(&message.attributes);
    for (name, value) in carrier.in_precedence() {
        // SQS refuses empty values, and an empty field says nothing: not sending it loses nothing.
        if value.is_empty() || (caller_has_trace_context && name != BAGGAGE) {
            continue;
        }
        if is_xray(&name) {
            added.trace_header = Some(value);
            continue;
        }
        if callers.find(&name).is_some() {
            continue;
        }
        let is_orphaned =
            name == TRACESTATE && added.left_out.iter().any(|field| field == TRACEPARENT);
        let field = TextAttribute { name, value };
        let size = field.size();
        let is_accepted = message::accepts_text(&field.name, &field.value);
        if is_orphaned || free_slots == 0 || size > free_bytes || !is_accepted {
            added.left_out.push(field.name);
            continue;
        }
        free_slots -= 1;
        free_bytes -= size;
        added.context.push(field);
    }
    added
}

/// Fields that identify a trace by themselves, as `traceparent` does and `tracestate` and `baggage`
/// do not. As a message attribute X-Ray's header does not either: nobody looks for it there.
fn is_trace_identity(field: &str) -> bool {
    field != TRACESTATE && field != BAGGAGE && !is_xray(field)
}

/// Whatever its case: other propagators than ours write the name in theirs.
fn is_xray(field: &str) -> bool {
    field.eq_ignore_ascii_case(XRAY_TRACE_ID_HEADER)
}

impl Carrier {
    fn in_precedence(mut self) -> Vec<(String, String)> {
        let rank = |name: &str| {
            PRECEDENCE
                .iter()
                .position(|field| *field == name)
                .unwrap_or(PRECEDENCE.len())
        };
        self.0.sort_by_key(|(name, _)| rank(name));
        self.0
    }
}

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, present)) => *present = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }
}

impl<'a> CallerContext<'a> {
    fn find(&self, name: &str) -> Option<&'a Attribute> {
        let exact = self.0.iter().find(|attribute| attribute.name == name);
        exact.or_else(|| {
            self.0
                .iter()
                .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
        })
    }
}

impl Extractor for CallerContext<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match &self.find(key)?.value {
            AttributeValue::String(text) => Some(text),
            AttributeValue::Number(_) | AttributeValue::Binary(_) => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.0
            .iter()
            .map(|attribute| attribute.name.as_str())
            .collect()
    }
}

#[cfg(test)]
mod tests;
