//! Buffering of finished spans.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::Span as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::{Bounds, Buffer, EncodeRecord};
use crate::buffer::SpanGroups;
use crate::otlp::encode::{self, LinkState};

/// A buffer of spans. Clones share it, and one of them is the span processor of the provider.
#[derive(Debug, Clone)]
pub(crate) struct SpanBuffer {
    buffer: Buffer,
    pub(super) groups: Arc<SpanGroups>,
}

impl SpanBuffer {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            buffer: Buffer::new(bounds),
            groups: Arc::default(),
        }
    }
}

impl Deref for SpanBuffer {
    type Target = Buffer;

    fn deref(&self) -> &Buffer {
        &self.buffer
    }
}

impl EncodeRecord for SpanData {
    fn encode(&self, out: &mut Vec<u8>) {
        encode::span(out, self, LinkState::Include);
    }

    fn encode_shortened(&self, out: &mut Vec<u8>) {
        encode::span(out, self, LinkState::Omit);
    }
}

impl SpanProcessor for SpanBuffer {
    fn on_start(&self, span: &mut Span, context: &Context) {
        let span = span.span_context();
        // A span that is not sampled is not buffered and needs no entry. `on_end` checks the same
        // flag, which does not change while the span is open.
        if span.is_sampled() {
            self.groups.insert(span.span_id(), context);
        }
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            // Removed before the push, which drops the span if the buffer is full. The map of open
            // spans must not grow then.
            let group = self.groups.remove(span.span_context.span_id());
            self.buffer.push(&span, &span.instrumentation_scope, group);
        }
    }

    /// Does nothing, because this call has no deadline. Flushes use
    /// [`Telemetry::flush`](crate::Telemetry::flush).
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
