//! Attributes that a send adds, and the order in which they are dropped.

use crate::message::Attribute;
use crate::rejection::Rejection;

// Names of the W3C fields. `baton-telemetry` has the same ones. This crate does not depend on it,
// so that a program that only sends does not compile an exporter.
pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";
pub(crate) const BAGGAGE: &str = "baggage";

/// The system attribute that carries X-Ray's header.
const AWS_TRACE_HEADER: &str = "AWSTraceHeader";

/// Attributes that a send adds to the caller's message.
///
/// They are dropped in this order: `optional` from its end, `baggage`, `tracestate`, then the rest
/// of `context` from its end. A `tracestate` is therefore never sent without its `traceparent`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AddedAttributes {
    /// Fields of the trace context, the most important first.
    pub(crate) context: Vec<Attribute>,
    /// Other attributes, the most important first.
    pub(crate) optional: Vec<Attribute>,
    /// The value of the system attribute `AWSTraceHeader`. SQS does not count it against the
    /// message's size.
    pub(crate) trace_header: Option<String>,
    /// Names of the context fields that were dropped, in the order of their removal.
    pub(crate) dropped_context: Vec<String>,
    /// Names of the other attributes that were dropped.
    pub(crate) dropped_optional: Vec<String>,
}

impl AddedAttributes {
    /// Bytes that SQS counts against the message's size.
    pub(crate) fn size(&self) -> usize {
        let attributes = self.context.iter().chain(&self.optional);
        attributes.map(Attribute::size).sum()
    }

    /// Drops attributes until the rest has at most this many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        while self.size() > bytes {
            if let Some(attribute) = self.optional.pop() {
                self.dropped_optional.push(attribute.name);
            } else if let Some(field) = self.pop_companion().or_else(|| self.context.pop()) {
                self.dropped_context.push(field.name);
            } else {
                return;
            }
        }
    }

    /// Drops the next group: all optional attributes, `baggage`, `tracestate`, or the rest of the
    /// context with X-Ray's header.
    ///
    /// Returns `false` if no group was left.
    pub(crate) fn drop_next_group(&mut self) -> bool {
        if !self.optional.is_empty() {
            let names = self.optional.drain(..).map(|attribute| attribute.name);
            self.dropped_optional.extend(names);
            return true;
        }
        if let Some(companion) = self.pop_companion() {
            self.dropped_context.push(companion.name);
            return true;
        }
        let count = self.dropped_context.len();
        let names = self.context.drain(..).map(|attribute| attribute.name);
        self.dropped_context.extend(names);
        let header = self.trace_header.take();
        self.dropped_context
            .extend(header.map(|_| AWS_TRACE_HEADER.to_owned()));
        self.dropped_context.len() > count
    }

    /// Drops attributes of a message whose other content has `size` bytes, so that it can be sent
    /// again after a rejection. Returns `false` if SQS would reject it again.
    pub(crate) fn drop_after(&mut self, rejection: Rejection, size: usize) -> bool {
        let Some(limit) = rejection.limit else {
            return self.drop_next_group();
        };
        match limit.checked_sub(size) {
            None => false,
            Some(room) if self.size() > room => {
                self.shrink_to(room);
                true
            }
            // The endpoint counts bytes differently from SQS.
            Some(_) => self.drop_next_group(),
        }
    }

    /// Removes `baggage`, or else `tracestate`: the trace continues without either.
    fn pop_companion(&mut self) -> Option<Attribute> {
        let position = |name| self.context.iter().position(|field| field.name == name);
        let companion = position(BAGGAGE).or_else(|| position(TRACESTATE))?;
        Some(self.context.remove(companion))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(names: &[&str]) -> Vec<Attribute> {
        let attributes = names.iter().map(|name| Attribute::text(*name, "v"));
        attributes.collect()
    }

    fn all() -> AddedAttributes {
        AddedAttributes {
            context: attributes(&["traceparent", "tracestate", "baggage", "b3"]),
            optional: attributes(&["error.type", "source"]),
            trace_header: Some("Root=1".to_owned()),
            ..AddedAttributes::default()
        }
    }

    /// Names of all dropped attributes; the optional ones are dropped first.
    fn dropped(added: &AddedAttributes) -> Vec<&str> {
        let names = added.dropped_optional.iter().chain(&added.dropped_context);
        names.map(String::as_str).collect()
    }

    #[test]
    fn the_traceparent_is_dropped_last() {
        let order = [
            "source",
            "error.type",
            "baggage",
            "tracestate",
            "b3",
            "traceparent",
        ];
        for count in 0..=order.len() {
            let mut added = all();
            let bytes = order[count..]
                .iter()
                .map(|name| name.len() + "Stringv".len());
            added.shrink_to(bytes.sum());
            assert_eq!(dropped(&added), order[..count]);
            assert_eq!(added.dropped_optional, order[..count.min(2)]);
            // SQS does not count the header, so dropping it would not help.
            assert!(added.trace_header.is_some());
        }
    }

    #[test]
    fn one_byte_too_many_costs_a_whole_attribute() {
        let mut added = all();
        added.shrink_to(added.size() - 1);
        assert_eq!(dropped(&added), ["source"]);
    }

    #[test]
    fn groups_are_dropped_in_the_same_order() {
        let mut added = all();
        for expected in [
            &["error.type", "source"][..],
            &["baggage"],
            &["tracestate"],
            &["traceparent", "b3", AWS_TRACE_HEADER],
        ] {
            added.dropped_context.clear();
            added.dropped_optional.clear();
            assert!(added.drop_next_group());
            assert_eq!(dropped(&added), expected);
        }
        assert!(!added.drop_next_group());
    }

    #[test]
    fn the_name_of_the_system_attribute_is_that_of_the_propagator() {
        assert_eq!(AWS_TRACE_HEADER, baton_telemetry::AWS_TRACE_HEADER);
    }
}
