//! Extraction of the producer's context from message attributes.

use aws_lambda_events::event::sqs::SqsMessage;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;

struct MessageAttributes<'a>(&'a SqsMessage);

impl Extractor for MessageAttributes<'_> {
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

/// Returns the producer's context, or an empty one if the record has none.
pub(crate) fn extract(record: &SqsMessage) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &MessageAttributes(record))
}
