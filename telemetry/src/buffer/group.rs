//! Spans that are flushed together: an invocation's, where several invocations run in one process.
//!
//! The group travels as a value of the [`Context`], so that a handler's own spans inherit it. From
//! a span's start to its end it is kept beside the span, not on it: a stamp among the attributes
//! would count against their limit, and be seen by other processors.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::Context;
use opentelemetry::trace::SpanId;

/// Spans that [`Telemetry::flush_context_group`](crate::Telemetry::flush_context_group) sends and waits for, and no
/// others.
///
/// Made by [`Telemetry::flush_group`](crate::Telemetry::flush_group), one for each invocation. When
/// it is dropped the group is over: spans of it that are still to be sent, or still to end, go
/// behind the next flush of anyone; those that no flush had taken count as late.
pub struct FlushGroup(Arc<Group>);

impl FlushGroup {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// The same context for spans of this group: those that are started in it, or in a context made
    /// from it, belong to the group.
    #[must_use]
    pub fn attach(&self, context: &Context) -> Context {
        context.with_value(ContextGroup(Arc::clone(&self.0)))
    }

    /// An empty context but for the group of the active one, if it has one: for those who begin
    /// traces of their own within a group that somebody around them flushes.
    #[must_use]
    pub fn inherited_context() -> Context {
        let group =
            Context::map_current(|active| active.get().map(|ContextGroup(group)| group.clone()));
        match group {
            Some(group) => Context::new().with_value(ContextGroup(group)),
            None => Context::new(),
        }
    }
}

impl Drop for FlushGroup {
    fn drop(&mut self) {
        self.0.is_finished.store(true, Relaxed);
    }
}

impl fmt::Debug for FlushGroup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FlushGroup").finish_non_exhaustive()
    }
}

/// A group's identity is its address.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// The group's [`FlushGroup`] is gone: nobody will flush these spans as their own.
    is_finished: AtomicBool,
}

impl Group {
    pub(crate) fn is_finished(&self) -> bool {
        self.is_finished.load(Relaxed)
    }

    /// The group that a context carries.
    pub(crate) fn from_context(context: &Context) -> Option<&Arc<Self>> {
        context.get().map(|ContextGroup(group)| group)
    }
}

#[cfg(test)]
impl FlushGroup {
    pub(crate) fn group(&self) -> &Arc<Group> {
        &self.0
    }
}

/// What a context carries.
struct ContextGroup(Arc<Group>);

/// The groups of the spans that have started and not ended.
#[derive(Debug, Default)]
pub(crate) struct SpanGroups {
    groups: Mutex<HashMap<SpanId, Arc<Group>>>,
    /// The number of entries. It is read without the lock: where groups are not in use, the end of
    /// a span costs this one look.
    count: AtomicUsize,
}

impl SpanGroups {
    pub(crate) fn insert(&self, span: SpanId, context: &Context) {
        if let Some(ContextGroup(group)) = context.get() {
            let before = self.lock().insert(span, Arc::clone(group));
            self.count.fetch_add(usize::from(before.is_none()), Relaxed);
        }
    }

    /// The span's group. A span's start happens before its end, so that the count has not missed
    /// it.
    pub(crate) fn remove(&self, span: SpanId) -> Option<Arc<Group>> {
        if self.count.load(Relaxed) == 0 {
            return None;
        }
        let group = self.lock().remove(&span)?;
        self.count.fetch_sub(1, Relaxed);
        Some(group)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SpanId, Arc<Group>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl SpanGroups {
    pub(crate) fn len(&self) -> usize {
        assert_eq!(self.count.load(Relaxed), self.lock().len());
        self.lock().len()
    }
}
