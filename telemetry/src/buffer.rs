//! The process's finished spans, encoded, until a flush takes them.
//!
//! A span is encoded when it ends: the bytes are a third of the SDK's structures, their size is known (so the buffer can be bounded in
//! bytes, and requests cut where they must be), and sending them again costs nothing. There is no thread and no channel: a mutex, which
//! nobody holds across an await.

use crate::encode::{self, LinkState};
use bytes::Bytes;
use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// A chunk that has reached this size is closed. Requests are made of whole chunks, so this is how exactly they can be cut.
const CHUNK_BYTES: usize = 256 * 1024;
/// Room for the spans of a usual batch of ten, so that the first invocations do not grow their chunk step by step.
const FIRST_CAPACITY: usize = 4 * 1024;
/// A single span that is larger is written again without the state of its links: collectors refuse requests above 4 MiB.
const MAX_SPAN_BYTES: usize = 3 * 1024 * 1024;

/// How much the buffer holds before it drops, what is on its way to the collector included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) spans: usize,
    pub(crate) bytes: usize,
}

/// Cumulative counts of this process. `finished = exported + dropped + pending` at every moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) finished: u64,
    pub(crate) exported: u64,
    pub(crate) dropped: u64,
    /// In the buffer, or taken from it and not yet answered for.
    pub(crate) pending: u64,
}

/// The inside of one `ScopeSpans`: a scope, then spans.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    /// How many of the bytes are the scope.
    scope: usize,
    spans: u64,
}

/// A chunk that still takes spans.
#[derive(Debug)]
struct OpenChunk {
    scope: InstrumentationScope,
    bytes: Vec<u8>,
    scope_bytes: usize,
    spans: u64,
}

#[derive(Debug, Default)]
struct State {
    open: Vec<OpenChunk>,
    closed: VecDeque<Chunk>,
    counts: Counts,
    /// Encoded spans that are pending, without their scopes.
    bytes: usize,
}

/// Clones share the buffer; one of them is the provider's span processor.
#[derive(Debug, Clone)]
pub(crate) struct SpanBuffer {
    bounds: Bounds,
    state: Arc<Mutex<State>>,
    half_full: Arc<Notify>,
}

impl SpanBuffer {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: Arc::default(),
            half_full: Arc::default(),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Completes when the buffer has become half full, for those who export in the background.
    pub(crate) async fn half_full(&self) {
        self.half_full.notified().await;
    }

    /// Takes everything. What the caller does not settle goes back when the rest is dropped.
    pub(crate) fn take(&self) -> Taken {
        let mut state = self.lock();
        state.close_all();
        let mut chunks = std::mem::take(&mut state.closed);
        chunks.make_contiguous();
        Taken {
            buffer: self.clone(),
            chunks,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close_all(&mut self) {
        for chunk in self.open.drain(..) {
            self.closed.push_back(chunk.close());
        }
    }

    /// The chunk that takes the next span of a scope.
    fn chunk_of(&mut self, scope: &InstrumentationScope) -> &mut OpenChunk {
        let at = match self.open.iter().position(|chunk| chunk.scope == *scope) {
            Some(at) => at,
            None => {
                self.open.push(OpenChunk::new(scope.clone()));
                self.open.len() - 1
            }
        };
        &mut self.open[at]
    }

    fn push(&mut self, span: &SpanData, bounds: Bounds) {
        self.counts.finished += 1;
        if self.counts.pending >= bounds.spans as u64 || self.bytes >= bounds.bytes {
            self.counts.dropped += 1;
            return;
        }
        let chunk = self.chunk_of(&span.instrumentation_scope);
        let before = chunk.bytes.len();
        chunk.push(span);
        let added = chunk.bytes.len() - before;
        let full = chunk.bytes.len() >= CHUNK_BYTES;
        self.bytes += added;
        self.counts.pending += 1;
        if full {
            self.close_all();
        }
    }

    fn is_half_full(&self, bounds: Bounds) -> bool {
        self.counts.pending >= bounds.spans as u64 / 2 || self.bytes >= bounds.bytes / 2
    }

    /// Puts chunks back in front. Small ones of one scope become one again: otherwise each flush that fails would leave another allocation.
    fn give_back(&mut self, chunks: impl Iterator<Item = Chunk>) {
        let mut merged: Vec<Chunk> = Vec::new();
        for chunk in chunks {
            match merged.iter_mut().find(|into| into.takes(&chunk)) {
                Some(into) => into.append(&chunk),
                None => merged.push(chunk),
            }
        }
        for chunk in merged.into_iter().rev() {
            self.closed.push_front(chunk);
        }
    }
}

impl Chunk {
    fn scope(&self) -> &[u8] {
        &self.bytes[..self.scope]
    }

    fn spans_bytes(&self) -> &[u8] {
        &self.bytes[self.scope..]
    }

    fn takes(&self, other: &Self) -> bool {
        self.bytes.len() + other.bytes.len() <= CHUNK_BYTES && self.scope() == other.scope()
    }

    fn append(&mut self, other: &Self) {
        let mut bytes = Vec::from(std::mem::take(&mut self.bytes));
        bytes.extend_from_slice(other.spans_bytes());
        self.bytes = bytes.into();
        self.spans += other.spans;
    }
}

impl OpenChunk {
    fn new(scope: InstrumentationScope) -> Self {
        let mut bytes = Vec::with_capacity(FIRST_CAPACITY);
        encode::scope(&mut bytes, &scope);
        Self {
            scope,
            scope_bytes: bytes.len(),
            bytes,
            spans: 0,
        }
    }

    fn push(&mut self, span: &SpanData) {
        let start = self.bytes.len();
        encode::span(&mut self.bytes, span, LinkState::Keep);
        if self.bytes.len() - start > MAX_SPAN_BYTES {
            self.bytes.truncate(start);
            encode::span(&mut self.bytes, span, LinkState::Leave);
        }
        self.spans += 1;
    }

    fn close(self) -> Chunk {
        Chunk {
            bytes: self.bytes.into(),
            scope: self.scope_bytes,
            spans: self.spans,
        }
    }
}

impl SpanProcessor for SpanBuffer {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let mut state = self.lock();
        let was_half_full = state.is_half_full(self.bounds);
        state.push(&span, self.bounds);
        let became_half_full = !was_half_full && state.is_half_full(self.bounds);
        drop(state);
        if became_half_full {
            self.half_full.notify_one();
        }
    }

    /// Nothing to do: a flush has a deadline, which this call cannot carry. [`Telemetry::flush`](crate::Telemetry::flush) is the way.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Chunks on their way to a collector. Whatever happens to them is said here, or they return to the buffer.
#[derive(Debug)]
pub(crate) struct Taken {
    buffer: SpanBuffer,
    chunks: VecDeque<Chunk>,
}

impl Taken {
    /// The next chunks that together stay below `limit` bytes (always at least one), without removing them.
    pub(crate) fn next_request(&self, limit: usize) -> &[Chunk] {
        // `take` put the chunks into one piece, and they are only removed from the front.
        let (chunks, _) = self.chunks.as_slices();
        let mut bytes = 0;
        let fitting = chunks.iter().take_while(|chunk| {
            bytes += chunk.bytes.len();
            bytes <= limit
        });
        let count = fitting.count().max(1).min(chunks.len());
        &chunks[..count]
    }

    /// The first `chunks` were accepted by the collector.
    pub(crate) fn exported(&mut self, chunks: usize) {
        self.settle(chunks, |counts| &mut counts.exported);
    }

    /// The first `chunks` will never be accepted.
    pub(crate) fn dropped(&mut self, chunks: usize) {
        self.settle(chunks, |counts| &mut counts.dropped);
    }

    fn settle(&mut self, chunks: usize, outcome: fn(&mut Counts) -> &mut u64) {
        let mut state = self.buffer.lock();
        for chunk in self.chunks.drain(..chunks) {
            *outcome(&mut state.counts) += chunk.spans;
            state.counts.pending -= chunk.spans;
            state.bytes -= chunk.spans_bytes().len();
        }
    }
}

impl Drop for Taken {
    /// What was not answered for is sent with the next flush, before what has finished since.
    fn drop(&mut self) {
        if !self.chunks.is_empty() {
            let chunks = self.chunks.drain(..);
            self.buffer.lock().give_back(chunks);
        }
    }
}

#[cfg(test)]
mod tests;
