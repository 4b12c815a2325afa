//! The producer's context in the message attributes.

use aws_lambda_events::event::sqs::SqsMessage;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;

struct Carrier<'a>(&'a SqsMessage);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let attribute = self.0.message_attributes.get(key)?;
        attribute.string_value.as_deref()
    }

    fn keys(&self) -> Vec<&str> {
        self.0
            .message_attributes
            .keys()
            .map(String::as_str)
            .collect()
    }
}

/// The context that the record was sent in; an empty one if it says none.
pub(crate) fn extract(record: &SqsMessage) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Carrier(record))
}
