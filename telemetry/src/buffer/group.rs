//! Groups of spans that are flushed together, such as those of one of several concurrent
//! invocations.
//!
//! The group is a value of the [`Context`], so that the spans of a handler inherit it. While a span
//! is open, its group is kept in a map and not in an attribute of the span, which would count
//! against the attribute limit and be visible to other processors.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::Context;
use opentelemetry::trace::SpanId;

/// Spans that [`Telemetry::flush_context_group`](crate::Telemetry::flush_context_group) sends and
/// waits for, without those of other groups.
///
/// Created by [`Telemetry::flush_group`](crate::Telemetry::flush_group), one for each invocation.
/// The group ends when this is dropped. Its remaining spans, including those that are still open,
/// are then sent by the next flush of any group; those that no flush had taken before count as
/// late.
///
/// ```
/// use baton_telemetry::FlushGroup;
/// use opentelemetry::Context;
///
/// fn span_context(group: &FlushGroup) -> Context {
///     // Spans that are started in this context belong to the group.
///     group.attach(&Context::current())
/// }
/// ```
pub struct FlushGroup(Arc<Group>);

impl FlushGroup {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Returns the context with this group. Spans that are started in it, or in a context derived
    /// from it, belong to the group.
    #[must_use]
    pub fn attach(&self, context: &Context) -> Context {
        context.with_value(ContextGroup(Arc::clone(&self.0)))
    }

    /// Returns an empty context with the group of the active context, if it has one. Used to start
    /// a new trace whose spans the caller's group flushes.
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
        // Relaxed is enough, because no other data depends on the flag. A flush that does not see
        // it yet leaves the spans of the group to a later one.
        self.0.is_finished.store(true, Relaxed);
    }
}

impl fmt::Debug for FlushGroup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FlushGroup").finish_non_exhaustive()
    }
}

/// State of a group. Its address identifies it.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// True once the [`FlushGroup`] was dropped. No flush of this group follows.
    is_finished: AtomicBool,
}

impl Group {
    pub(crate) fn is_finished(&self) -> bool {
        self.is_finished.load(Relaxed)
    }

    /// Returns the group of a context.
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

/// The context value that holds the group.
struct ContextGroup(Arc<Group>);

/// Groups of the open spans.
#[derive(Debug, Default)]
pub(crate) struct SpanGroups {
    groups: Mutex<HashMap<SpanId, Arc<Group>>>,
    /// Number of entries. It is read without the lock, so that the end of a span costs only one
    /// load if groups are not used.
    count: AtomicUsize,
}

impl SpanGroups {
    pub(crate) fn insert(&self, span: SpanId, context: &Context) {
        if let Some(ContextGroup(group)) = context.get() {
            let before = self.lock().insert(span, Arc::clone(group));
            // If an id generator repeats the id of an open span, the entry is replaced. Counting it
            // again would keep the count above zero for good.
            self.count.fetch_add(usize::from(before.is_none()), Relaxed);
        }
    }

    /// Removes and returns the group of a span. A relaxed load of the count is enough, because the
    /// start of a span happens before its end.
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
