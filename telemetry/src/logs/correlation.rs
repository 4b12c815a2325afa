//! Ids of the trace, the invocation and the message in a context, for log lines and log records.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceState};

use super::message_fields::MessageFields;

/// Returns a copy of the context with the invocation's `id`.
///
/// Lines logged in it, or in a context derived from it, carry the id as `requestId`, log records as
/// `faas.invocation_id`.
#[must_use]
pub fn with_request_id(context: &Context, id: Arc<str>) -> Context {
    let correlation = Correlation {
        request_id: Some(id),
        ..Correlation::from_context(context)
    };
    context.with_value(correlation)
}

/// Returns a copy of the context with the message's `id`.
///
/// Lines logged in it, or in a context derived from it, carry the id as `messageId`, log records as
/// `messaging.message.id`.
///
/// ```
/// use baton_telemetry::{message_id, with_message_id};
/// use opentelemetry::Context;
///
/// let context = with_message_id(&Context::new(), "059f36b4-87a3-44ab-83d2-661975830a7d".into());
/// assert_eq!(message_id(&context), Some("059f36b4-87a3-44ab-83d2-661975830a7d"));
/// ```
#[must_use]
pub fn with_message_id(context: &Context, id: Arc<str>) -> Context {
    with_message(context, Some(id), MessageFields::default())
}

/// Returns a copy of the context with the message's `id`, as [`with_message_id`] does, and with
/// `fields` for the lines logged in it.
#[must_use]
pub fn with_message(context: &Context, id: Option<Arc<str>>, fields: MessageFields) -> Context {
    let correlation = Correlation {
        message_id: id,
        message_fields: Some(fields),
        ..Correlation::from_context(context)
    };
    context.with_value(correlation)
}

/// Returns the invocation id in the context, for programs that format log lines themselves.
#[must_use]
pub fn request_id(context: &Context) -> Option<&str> {
    let correlation: &Correlation = context.get()?;
    correlation.request_id.as_deref()
}

/// Returns the message id in the context, for programs that format log lines themselves.
#[must_use]
pub fn message_id(context: &Context) -> Option<&str> {
    let correlation: &Correlation = context.get()?;
    correlation.message_id.as_deref()
}

/// The ids of the invocation and the message, and the message's fields. They are one value, because
/// each value of a context needs an allocation for every message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Correlation {
    pub(crate) request_id: Option<Arc<str>>,
    pub(crate) message_id: Option<Arc<str>>,
    pub(crate) message_fields: Option<MessageFields>,
}

impl Correlation {
    pub(crate) fn from_context(context: &Context) -> Self {
        context.get().cloned().unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.request_id.is_none() && self.message_id.is_none()
    }
}

/// Ids in an OpenTelemetry context.
#[derive(Debug, Clone)]
pub(super) struct ContextIds {
    /// Context of the active span without its trace state, which lines and records do not contain.
    /// Invalid if no span is active.
    pub(super) span: SpanContext,
    pub(super) correlation: Correlation,
}

impl ContextIds {
    /// Returns the ids of the span, the invocation and the message in the active context.
    pub(super) fn current() -> Self {
        Context::map_current(|context| {
            let span = context.span();
            let span = span.span_context();
            let (trace_id, span_id, flags) = (span.trace_id(), span.span_id(), span.trace_flags());
            Self {
                span: SpanContext::new(trace_id, span_id, flags, false, TraceState::NONE),
                correlation: Correlation::from_context(context),
            }
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.span.is_valid() && self.correlation.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_of_a_message_keeps_the_id_of_its_invocation() {
        let invocation = with_request_id(&Context::new(), "request".into());
        let first = with_message_id(&invocation, "first".into());
        let second = with_message_id(&first, "second".into());
        assert_eq!(request_id(&second), Some("request"));
        assert_eq!(message_id(&second), Some("second"));
        assert_eq!(message_id(&first), Some("first"));
        assert_eq!(message_id(&invocation), None);
    }
}
