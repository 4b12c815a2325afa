//! Buffering of finished spans.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::Span as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::{Bounds, Buffer};
use crate::buffer::SpanGroups;
use crate::otlp::encode::{self, LinkState};
use crate::scratch;

/// Size above which a span is encoded without the trace state of its links, because collectors
/// reject requests above 4 MiB.
const MAX_ENCODED_SPAN_BYTES: usize = 3 * 1024 * 1024;

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
            // Removed even if the span is dropped, because the map of open spans must not grow.
            let group = self.groups.remove(span.span_context.span_id());
            if self.buffer.count_drop_if_full() {
                return;
            }
            scratch::with(|out| {
                encode::span(out, &span, LinkState::Include);
                if out.len() > MAX_ENCODED_SPAN_BYTES {
                    out.clear();
                    encode::span(out, &span, LinkState::Omit);
                }
                self.buffer.push(out, &span.instrumentation_scope, group);
            });
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
