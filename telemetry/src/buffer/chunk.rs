//! Chunks of encoded records with one scope and one group.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry::InstrumentationScope;

use super::RecordGroup;
use crate::buffer::Group;
use crate::otlp::encode;

/// Maximum size of a chunk with more than one record. Requests consist of whole chunks, so it is
/// also the granularity of their size.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;
/// Initial capacity of the first chunk: the spans of a usual batch of ten messages take 6 KiB, and
/// the chunk should not be reallocated for them.
const FIRST_CAPACITY: usize = 8 * 1024;

/// The content of one `ScopeSpans` or `ScopeLogs`: a scope, then records.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    /// Length of the scope at the start of the bytes.
    scope_bytes: usize,
    pub(crate) records: u64,
    pub(super) group: RecordGroup,
    /// True once the chunk was in flight and has been returned.
    pub(super) is_returned: bool,
    /// True once the chunk was written to the console exporter.
    pub(super) is_on_console: bool,
}

impl Chunk {
    pub(crate) fn scope(&self) -> &[u8] {
        &self.bytes[..self.scope_bytes]
    }

    pub(crate) fn records_bytes(&self) -> &[u8] {
        &self.bytes[self.scope_bytes..]
    }

    /// Returns true if the group of the records ended before a flush took them.
    pub(super) fn is_late(&self) -> bool {
        // A returned chunk was taken before. It was counted then, or its group had not ended yet.
        !self.is_returned && self.group.as_ref().is_some_and(|group| group.is_finished())
    }

    /// Returns true if the records of `other` can be appended to this chunk.
    pub(super) fn accepts(&self, other: &Self) -> bool {
        // Records whose group has ended are flushed like those without a group, so their chunks
        // need not be kept apart. None of them is counted as late afterwards, because all were
        // taken before.
        let is_same_group = match &self.group {
            Some(group) if !group.is_finished() => belongs_to(&other.group, group),
            _ => is_ungrouped(&other.group),
        };
        is_same_group
            && self.is_on_console == other.is_on_console
            && self.bytes.len() + other.bytes.len() <= CHUNK_BYTES
            && self.scope() == other.scope()
    }

    pub(super) fn append(&mut self, other: &Self) {
        let mut bytes = Vec::from(std::mem::take(&mut self.bytes));
        bytes.extend_from_slice(other.records_bytes());
        self.bytes = bytes.into();
        self.records += other.records;
    }
}

/// A chunk that records are added to.
#[derive(Debug)]
pub(super) struct OpenChunk {
    scope: InstrumentationScope,
    pub(super) group: RecordGroup,
    pub(super) bytes: Vec<u8>,
    pub(super) scope_bytes: usize,
    pub(super) records: u64,
}

impl OpenChunk {
    /// Creates the first chunk of a scope and a group.
    pub(super) fn first(scope: InstrumentationScope, group: RecordGroup) -> Self {
        Self::new(scope, group, FIRST_CAPACITY)
    }

    /// Creates the chunk after a full one. It will probably be full as well, so it has the capacity
    /// from the start: growing to it would copy each record once more.
    pub(super) fn next(scope: InstrumentationScope, group: RecordGroup) -> Self {
        Self::new(scope, group, CHUNK_BYTES)
    }

    fn new(scope: InstrumentationScope, group: RecordGroup, capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        encode::scope(&mut bytes, &scope);
        Self {
            scope,
            group,
            scope_bytes: bytes.len(),
            bytes,
            records: 0,
        }
    }

    pub(super) fn accepts(&self, scope: &InstrumentationScope, group: &RecordGroup) -> bool {
        // Records of an ended group are not added to the chunk of ungrouped ones, because they
        // count as late, and late records are counted by whole chunks.
        let is_same_group = match group {
            Some(group) => belongs_to(&self.group, group),
            None => self.group.is_none(),
        };
        is_same_group && is_same_scope(&self.scope, scope)
    }

    pub(super) fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.records += 1;
    }

    /// Returns `true` if the record fits into this chunk. An empty one has room for every record: a
    /// chunk with a record of `MAX_ENCODED_SPAN_BYTES` is still shorter than the exporter's
    /// `MAX_REQUEST_BYTES`.
    pub(super) fn has_room(&self, record: &[u8]) -> bool {
        self.records == 0 || self.bytes.len() + record.len() <= CHUNK_BYTES
    }

    pub(super) fn close(self) -> Chunk {
        Chunk {
            bytes: self.bytes.into(),
            scope_bytes: self.scope_bytes,
            records: self.records,
            group: self.group,
            is_returned: false,
            is_on_console: false,
        }
    }
}

pub(super) fn belongs_to(record_group: &RecordGroup, group: &Arc<Group>) -> bool {
    // A record keeps its group alive, so no other group can have the same address.
    record_group
        .as_ref()
        .is_some_and(|record_group| Arc::ptr_eq(record_group, group))
}

/// Returns true if no group will flush the records: they have none, or it has ended.
pub(super) fn is_ungrouped(group: &RecordGroup) -> bool {
    group.as_ref().is_none_or(|group| group.is_finished())
}

/// Compares scopes, with a fast path: the spans of one tracer have the same static strings in their
/// scopes, so comparing pointers is enough.
fn is_same_scope(one: &InstrumentationScope, other: &InstrumentationScope) -> bool {
    let is_static = |one: &str, other: &str| std::ptr::eq(one, other);
    let is_static_or_none = |one: Option<&str>, other: Option<&str>| match (one, other) {
        (Some(one), Some(other)) => is_static(one, other),
        (one, other) => one.is_none() && other.is_none(),
    };
    let is_identical = is_static(one.name(), other.name())
        && is_static_or_none(one.version(), other.version())
        && is_static_or_none(one.schema_url(), other.schema_url())
        && one.attributes().chain(other.attributes()).next().is_none();
    is_identical || one == other
}
