//! Every span is counted and the bounds hold, for every order of events.

use std::collections::VecDeque;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use proptest::prelude::*;

use super::*;
use crate::buffer::FlushGroup;
use crate::buffer::chunk::CHUNK_BYTES;

const BOUNDS: Bounds = Bounds {
    records: 20,
    bytes: 4 * 1024,
};
/// More than the spans of a test reach.
const WIDE_BOUNDS: Bounds = Bounds {
    records: 1_000,
    bytes: 1 << 20,
};
/// The bound in bytes is checked before a span is added, so one span may exceed it.
const LARGEST_SPAN: usize = 2 * 1024;

/// Number of groups that exist at a time. Ended groups are replaced.
const GROUPS: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    /// A span of one of two scopes ends, with an attribute of this length, with or without a group.
    End {
        scope: bool,
        group: Option<usize>,
        length: usize,
    },
    /// A span of a group starts. Another step ends it.
    Start { group: usize },
    /// The oldest open span ends.
    EndOldest,
    /// A flush of a group or of all records starts.
    Take { group: Option<usize> },
    /// A flush of ungrouped records starts.
    TakeUngrouped,
    /// The collector accepts the first chunk of the oldest flush.
    Export,
    /// The collector rejects the first chunk of the oldest flush.
    Drop,
    /// The oldest flush fails, or its future is dropped.
    ReturnAll,
    /// A group ends and is replaced by a new one.
    Finish { group: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let group = || proptest::option::of(0..GROUPS);
    prop_oneof![
        6 => (any::<bool>(), group(), 0..LARGEST_SPAN / 2)
            .prop_map(|(scope, group, length)| Step::End { scope, group, length }),
        2 => (0..GROUPS).prop_map(|group| Step::Start { group }),
        2 => Just(Step::EndOldest),
        3 => group().prop_map(|group| Step::Take { group }),
        1 => Just(Step::TakeUngrouped),
        2 => Just(Step::Export),
        1 => Just(Step::Drop),
        1 => Just(Step::ReturnAll),
        1 => (0..GROUPS).prop_map(|group| Step::Finish { group }),
    ]
}

fn tracers(buffer: &SpanBuffer) -> (SdkTracerProvider, [SdkTracer; 2]) {
    let provider = SdkTracerProvider::builder()
        .with_span_processor(buffer.clone())
        .build();
    let tracers = [provider.tracer("one"), provider.tracer("two")];
    (provider, tracers)
}

fn start_span(tracer: &SdkTracer, group: Option<&FlushGroup>) -> Span {
    let context = Context::new();
    let context = group.map_or(context.clone(), |group| group.attach(&context));
    tracer.start_with_context("span", &context)
}

fn end_span(tracer: &SdkTracer, group: Option<&FlushGroup>, length: usize) {
    let mut span = start_span(tracer, group);
    span.set_attribute(opentelemetry::KeyValue::new("filler", "x".repeat(length)));
    span.end();
}

/// Returns the spans and bytes in the buffer and in flight.
fn contents(buffer: &SpanBuffer, exports: &VecDeque<InFlightChunks>) -> (u64, usize) {
    let state = buffer.lock();
    let in_flight = exports.iter().flat_map(|in_flight| &in_flight.chunks);
    let chunks = state.closed.iter().chain(in_flight);
    let closed = chunks.map(|chunk| (chunk.records, chunk.records_bytes().len()));
    let open = state
        .open
        .iter()
        .map(|chunk| (chunk.records, chunk.bytes.len() - chunk.scope_bytes));
    closed
        .chain(open)
        .fold((0, 0), |sum, chunk| (sum.0 + chunk.0, sum.1 + chunk.1))
}

/// A buffer in use, driven step by step.
struct Run {
    buffer: SpanBuffer,
    tracers: [SdkTracer; 2],
    groups: [FlushGroup; GROUPS],
    running: VecDeque<Span>,
    exports: VecDeque<InFlightChunks>,
    ended: u64,
}

impl Run {
    fn perform(&mut self, step: Step) {
        match step {
            Step::End {
                scope,
                group,
                length,
            } => {
                let group = group.map(|group| &self.groups[group]);
                end_span(&self.tracers[usize::from(scope)], group, length);
                self.ended += 1;
            }
            Step::Start { group } => {
                let span = start_span(&self.tracers[0], Some(&self.groups[group]));
                self.running.push_back(span);
            }
            Step::EndOldest => self.ended += u64::from(self.running.pop_front().is_some()),
            Step::Take { group } => self.exports.push_back(self.take(group)),
            Step::TakeUngrouped => self
                .exports
                .push_back(self.buffer.take(Selection::Ungrouped)),
            Step::Export => self.settle(InFlightChunks::mark_exported),
            Step::Drop => self.settle(InFlightChunks::mark_dropped),
            Step::ReturnAll => drop(self.exports.pop_front()),
            Step::Finish { group } => self.groups[group] = FlushGroup::new(),
        }
    }

    fn take(&self, group: Option<usize>) -> InFlightChunks {
        let selection = group.map_or(Selection::All, |group| {
            Selection::Group(self.groups[group].group())
        });
        let in_flight = self.buffer.take(selection);
        // Records of another group that has not ended must not be taken.
        let foreign = self
            .groups
            .iter()
            .enumerate()
            .filter(|(at, _)| Some(*at) != group);
        let is_foreign = |chunk: &Chunk| {
            foreign
                .clone()
                .any(|(_, foreign)| chunk::belongs_to(&chunk.group, foreign.group()))
        };
        assert!(group.is_none() || !in_flight.chunks.iter().any(is_foreign));
        in_flight
    }

    fn settle(&mut self, settle: fn(&mut InFlightChunks, usize) -> u64) {
        if let Some(in_flight) = self.exports.front_mut() {
            if in_flight.chunks.is_empty() {
                self.exports.pop_front();
            } else {
                settle(in_flight, 1);
            }
        }
    }
}

proptest! {
    #[test]
    fn every_span_is_counted_and_the_bounds_hold(steps in proptest::collection::vec(step(), 1..200)) {
        let buffer = SpanBuffer::new(BOUNDS);
        let (_provider, tracers) = tracers(&buffer);
        let groups = [FlushGroup::new(), FlushGroup::new()];
        let (running, exports) = (VecDeque::new(), VecDeque::new());
        let mut run = Run { buffer: buffer.clone(), tracers, groups, running, exports, ended: 0 };
        for step in steps {
            run.perform(step);
            let counts = buffer.counts();
            prop_assert_eq!(counts.finished, run.ended);
            prop_assert_eq!(counts.finished, counts.exported + counts.dropped + counts.pending);
            prop_assert!(counts.pending <= BOUNDS.records as u64);
            prop_assert!(counts.late <= counts.finished);
            let bytes = buffer.lock().bytes;
            prop_assert!(bytes < BOUNDS.bytes + LARGEST_SPAN);
            prop_assert_eq!(contents(&buffer, &run.exports), (counts.pending, bytes));
            prop_assert_eq!(buffer.groups.len(), run.running.len());
        }
        run.exports.clear();
        let everything = buffer.take(Selection::All);
        let spans: u64 = everything.chunks.iter().map(|chunk| chunk.records).sum();
        prop_assert_eq!(spans, buffer.counts().pending);
    }
}

#[test]
fn returned_chunks_are_merged_by_scope() {
    let buffer = SpanBuffer::new(WIDE_BOUNDS);
    let (_provider, tracers) = tracers(&buffer);
    for _ in 0..50 {
        for tracer in &tracers {
            end_span(tracer, None, 10);
        }
        drop(buffer.take(Selection::All));
    }
    let in_flight = buffer.take(Selection::All);
    assert_eq!(
        in_flight
            .chunks
            .iter()
            .map(|chunk| chunk.records)
            .collect::<Vec<_>>(),
        [50, 50]
    );
}

#[test]
fn a_full_chunk_is_followed_by_one_that_does_not_grow() {
    let buffer = SpanBuffer::new(WIDE_BOUNDS);
    let (_provider, tracers) = tracers(&buffer);
    for _ in 0..8 {
        end_span(&tracers[0], None, CHUNK_BYTES / 3);
    }
    let chunks = std::mem::take(&mut buffer.take(Selection::All).chunks);
    let records: Vec<u64> = chunks.iter().map(|chunk| chunk.records).collect();
    // Closed before a third span of this size exceeds the limit.
    assert_eq!(records, [2, 2, 2, 2]);
    for chunk in &chunks {
        assert!(chunk.bytes.len() <= CHUNK_BYTES);
    }
    for chunk in chunks.into_iter().skip(1) {
        assert_eq!(Vec::from(chunk.bytes).capacity(), CHUNK_BYTES);
    }
}
