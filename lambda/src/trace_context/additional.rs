//! Extraction of trace contexts from message attributes, with propagators that the program
//! provides.
//!
//! Only [`ConsumerBuilder::telemetry`](crate::ConsumerBuilder::telemetry) refers to
//! [`check_telemetry`], so that a function without such propagators does not contain this code.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use baton_telemetry::{AdditionalPropagators, Propagator, Telemetry};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};

use crate::error::Error;
use crate::event::SqsRecord;

/// Checks the telemetry that the program provides. Returns an extractor with its propagators, if it
/// has any.
///
/// # Errors
///
/// Returns an error if an exporter or span processor cannot run in an invocation.
pub(crate) fn check_telemetry(telemetry: &Telemetry) -> Result<Option<AdditionalExtractor>, Error> {
    if let Some(invalid) = telemetry.invalid_exporter() {
        return Err(Error::Telemetry(invalid.clone().into()));
    }
    Ok(telemetry
        .additional_propagators()
        .map(AdditionalExtractor::new))
}

/// Extracts a trace context with the propagators that the program provides.
#[derive(Clone)]
pub(crate) struct AdditionalExtractor(Arc<dyn ReadRecord>);

impl fmt::Debug for AdditionalExtractor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AdditionalExtractor")
    }
}

impl AdditionalExtractor {
    pub(crate) fn new(propagators: AdditionalPropagators) -> Self {
        Self(Arc::new(propagators))
    }

    /// Returns the remote span and the baggage, as the value of a `baggage` field.
    pub(super) fn read(&self, record: &SqsRecord<'_>) -> Option<(SpanContext, Option<Box<str>>)> {
        self.0.read(record)
    }
}

trait ReadRecord: Send + Sync {
    fn read(&self, record: &SqsRecord<'_>) -> Option<(SpanContext, Option<Box<str>>)>;
}

impl ReadRecord for AdditionalPropagators {
    fn read(&self, record: &SqsRecord<'_>) -> Option<(SpanContext, Option<Box<str>>)> {
        let attributes = record.message_attributes();
        let attributes = attributes
            .filter_map(|attribute| Some((attribute.name, attribute.string_value?)))
            .collect();
        let extracted = self.extract(&Context::new(), &AttributeCarrier(attributes))?;
        let parent = extracted.span().span_context().clone();
        Some((parent, baggage(&extracted)))
    }
}

/// Returns the baggage of a context in the form in which W3C carriers have it.
fn baggage(context: &Context) -> Option<Box<str>> {
    let mut propagator = Propagator::default();
    propagator.trace_context = false;
    let mut field = OnlyField(None);
    propagator.inject_context(context, &mut field);
    field.0
}

/// The value of the only field that is written.
struct OnlyField(Option<Box<str>>);

impl Injector for OnlyField {
    fn set(&mut self, _: &str, value: String) {
        self.0 = Some(value.into());
    }
}

/// Message attributes as a carrier for any propagator. A name in the same case takes precedence.
struct AttributeCarrier<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Extractor for AttributeCarrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let exact = self.0.iter().find(|(name, _)| name == key);
        let found = exact.or_else(|| {
            let mut attributes = self.0.iter();
            attributes.find(|(name, _)| name.eq_ignore_ascii_case(key))
        });
        found.map(|(_, value)| &**value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| &**name).collect()
    }
}
