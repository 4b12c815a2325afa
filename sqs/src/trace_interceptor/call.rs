//! A call under way, and the ends of its spans.

use aws_smithy_types::config_bag::{Storable, StoreReplace};
use opentelemetry::trace::{SpanRef, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute;

use super::measurement::CallMeasurement;
use crate::error_type;

/// The spans and the measurement of a call. The SDK keeps them in the call's state, and drops them
/// with it.
///
/// If they have not ended by then, they end as failed: the program dropped the future of the call.
/// After a timeout, the SDK still runs the last hook, which ends them.
#[derive(Debug)]
pub(super) struct Call {
    /// The context of the `send` span.
    pub(super) send: Context,
    /// The messages of a batch, in their order.
    pub(super) messages: Vec<BatchMessage>,
    /// `None` for an interceptor without a meter.
    pub(super) measurement: Option<CallMeasurement>,
}

/// A message of a batch.
#[derive(Debug)]
pub(super) struct BatchMessage {
    /// The id of its entry.
    pub(super) id: String,
    /// The context of its `create` span.
    pub(super) create: Option<Context>,
}

impl Call {
    /// The spans of this call, `send` last.
    pub(super) fn spans(&self) -> impl Iterator<Item = SpanRef<'_>> {
        let creates = self.messages.iter();
        let creates = creates.filter_map(|message| message.create.as_ref());
        creates.chain([&self.send]).map(|context| context.span())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let error_type = error_type::classify_drop();
        for span in self.spans().filter(SpanRef::is_recording) {
            fail(&span, error_type, "the call ended before SQS responded");
        }
    }
}

/// Ends a span as failed.
pub(super) fn fail(span: &SpanRef<'_>, error_type: &str, description: &str) {
    span.set_attribute(KeyValue::new(attribute::ERROR_TYPE, error_type.to_owned()));
    span.set_status(Status::error(description.to_owned()));
    span.end();
}

impl Storable for Call {
    type Storer = StoreReplace<Self>;
}
