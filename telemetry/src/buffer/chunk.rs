//! Encoded records of one scope and one group.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry::InstrumentationScope;

use super::{Owner, Record};
use crate::buffer::Group;
use crate::otlp::encode;

/// A chunk that has reached this size is closed. Requests are made of whole chunks, so this is how
/// exactly they can be cut.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;
/// Room for the spans of a usual batch of ten, which are 6 KiB, so that their chunk does not grow
/// step by step.
const FIRST_CAPACITY: usize = 8 * 1024;
/// A single record that is larger is written again, with less in it: collectors refuse requests
/// above 4 MiB.
const MAX_RECORD_BYTES: usize = 3 * 1024 * 1024;

/// The inside of one `ScopeSpans` or `ScopeLogs`: a scope, then records.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    /// How many of the bytes are the scope.
    scope: usize,
    pub(crate) records: u64,
    pub(super) owner: Owner,
    /// It was on its way once and came back.
    pub(super) is_returned: bool,
    /// `true` once the chunk was written to the console exporter.
    pub(super) is_on_console: bool,
}

impl Chunk {
    pub(crate) fn scope(&self) -> &[u8] {
        &self.bytes[..self.scope]
    }

    pub(crate) fn records_bytes(&self) -> &[u8] {
        &self.bytes[self.scope..]
    }

    /// These records should have gone with a flush of their group's, and none has taken them.
    pub(super) fn is_late(&self) -> bool {
        !self.is_returned && self.owner.as_ref().is_some_and(|owner| owner.is_over())
    }

    pub(super) fn accepts(&self, other: &Self) -> bool {
        let same_owner = match &self.owner {
            Some(group) if !group.is_over() => belongs_to(&other.owner, group),
            _ => is_ownerless(&other.owner),
        };
        same_owner
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

/// A chunk that still takes records.
#[derive(Debug)]
pub(super) struct OpenChunk {
    scope: InstrumentationScope,
    pub(super) owner: Owner,
    pub(super) bytes: Vec<u8>,
    pub(super) scope_bytes: usize,
    pub(super) records: u64,
}

impl OpenChunk {
    pub(super) fn new(scope: InstrumentationScope, owner: Owner) -> Self {
        let mut bytes = Vec::with_capacity(FIRST_CAPACITY);
        encode::scope(&mut bytes, &scope);
        Self {
            scope,
            owner,
            scope_bytes: bytes.len(),
            bytes,
            records: 0,
        }
    }

    pub(super) fn accepts(&self, scope: &InstrumentationScope, owner: &Owner) -> bool {
        let same_owner = match owner {
            Some(group) => belongs_to(&self.owner, group),
            None => self.owner.is_none(),
        };
        same_owner && is_same_scope(&self.scope, scope)
    }

    /// Adds a record and returns its length.
    pub(super) fn push(&mut self, record: &impl Record) -> usize {
        let start = self.bytes.len();
        record.encode(&mut self.bytes);
        if self.bytes.len() - start > MAX_RECORD_BYTES {
            self.bytes.truncate(start);
            record.encode_shortened(&mut self.bytes);
        }
        self.records += 1;
        self.bytes.len() - start
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES
    }

    pub(super) fn close(self) -> Chunk {
        Chunk {
            bytes: self.bytes.into(),
            scope: self.scope_bytes,
            records: self.records,
            owner: self.owner,
            is_returned: false,
            is_on_console: false,
        }
    }
}

pub(super) fn belongs_to(owner: &Owner, group: &Arc<Group>) -> bool {
    owner
        .as_ref()
        .is_some_and(|owner| Arc::ptr_eq(owner, group))
}

/// No group will flush these records as its own.
pub(super) fn is_ownerless(owner: &Owner) -> bool {
    owner.as_ref().is_none_or(|owner| owner.is_over())
}

/// As `==`, but sooner: the scope of one tracer's spans is made of the same static texts each time.
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
