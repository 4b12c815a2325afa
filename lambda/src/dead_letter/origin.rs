//! Whose trace context the message carries.

use crate::dead_letter::attributes::{Attribute, Value};
use crate::dead_letter::letter::Letter;
use baton_telemetry::{BAGGAGE, TRACEPARENT, TRACESTATE};
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{Context, global};

/// Bytes of a `traceparent` as SQS counts them: its name, its type `String`, and the 55 characters of version 00.
const TRACEPARENT_BYTES: usize = 11 + 6 + 55;

/// The order in which fields get the free slots: what is lost first is what the trace needs least.
const PRECEDENCE: [&str; 3] = [TRACEPARENT, TRACESTATE, BAGGAGE];

/// Where the trace goes on from.
#[derive(Debug)]
pub(super) enum Origin {
    /// The send, whose context is put into the message.
    Send,
    /// A context that came with the message, and must stay as it is; `None` where it is not valid.
    Message(Option<SpanContext>),
    /// Nothing: no propagator writes one, or there is no room.
    Nowhere,
}

/// What a propagator wrote.
#[derive(Debug, Default)]
pub(super) struct Carrier(Vec<(String, String)>);

/// A message's attributes, as a propagator reads them.
struct Attributes<'a>(&'a [Attribute]);

impl Origin {
    pub(super) fn of(letter: &Letter<'_>) -> Self {
        let attributes = Attributes(letter.attributes());
        global::get_text_map_propagator(|propagator| {
            // A tracestate or baggage alone is no context.
            let mut identities = propagator
                .fields()
                .filter(|field| *field != TRACESTATE && *field != BAGGAGE)
                .peekable();
            if identities.peek().is_none() {
                return Self::Nowhere;
            }
            if identities.any(|field| attributes.find(field).is_some()) {
                // Into an empty context: a propagator answers what it cannot read with the context it was given.
                let context = propagator.extract_with_context(&Context::new(), &attributes);
                let creation = context.span().span_context().clone();
                return Self::Message(creation.is_valid().then_some(creation));
            }
            match letter.has_room_for(TRACEPARENT_BYTES) {
                true => Self::Send,
                false => Self::Nowhere,
            }
        })
    }

    /// What is to be added to the message for the trace to go on from `context`.
    pub(super) fn carrier(&self, letter: &Letter<'_>, context: &Context) -> Carrier {
        let mut carrier = Carrier::default();
        if matches!(self, Self::Send) {
            let attributes = Attributes(letter.attributes());
            global::get_text_map_propagator(|propagator| {
                propagator.inject_context(context, &mut carrier);
            });
            carrier
                .0
                .retain(|(field, _)| attributes.find(field).is_none());
            carrier.0.sort_by_key(|(field, _)| rank(field));
        }
        carrier
    }
}

fn rank(field: &str) -> usize {
    let rank = PRECEDENCE.iter().position(|known| *known == field);
    rank.unwrap_or(PRECEDENCE.len())
}

impl IntoIterator for Carrier {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        self.0.push((key.to_owned(), value));
    }
}

impl<'a> Attributes<'a> {
    /// Names are compared without case; the exact one wins.
    fn find(&self, name: &str) -> Option<&'a Attribute> {
        let exact = self.0.iter().find(|attribute| attribute.name == name);
        let mut others = self.0.iter();
        exact.or_else(|| others.find(|attribute| attribute.name.eq_ignore_ascii_case(name)))
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
        let names = self.0.iter().map(|attribute| attribute.name.as_str());
        names.collect()
    }
}
