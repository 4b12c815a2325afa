//! Detects a filter of the program's own subscriber that omits all spans.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber, callsite, warn};

use super::SubscriberWarnings;
use crate::logs::program_spans;
use crate::logs::tracing_layer::SpanFilter;

/// Number of exports after which a program that has reached none of its spans is not checked again.
const MAX_CHECKS: u8 = 10;

/// Logs one warning if the filter of the program's own subscriber omits all spans.
///
/// Without `RUST_LOG`, `EnvFilter::from_default_env()` omits everything below ERROR, including the
/// spans of `#[instrument]`. Filters select spans by target, and a target is known only once the
/// program has reached a span, so the check runs at the first exports.
#[derive(Debug)]
pub(crate) struct FilterCheck {
    warnings: SubscriberWarnings,
    checks_left: AtomicU8,
}

impl FilterCheck {
    pub(crate) fn new(warnings: SubscriberWarnings) -> Self {
        Self {
            warnings,
            checks_left: AtomicU8::new(MAX_CHECKS),
        }
    }

    pub(crate) fn run(&self) {
        let left = self.checks_left.load(Ordering::Relaxed);
        if left == 0 {
            return;
        }
        let is_unused = tracing::dispatcher::get_default(|subscriber| {
            let filter = subscriber.downcast_ref::<SpanFilter>();
            filter.is_some_and(|filter| filter.is_in_own_subscriber() && !filter.has_created_span())
        });
        let omitted = is_unused.then(reached_span).flatten();
        let is_done = !is_unused || omitted.is_some();
        let left = if is_done { 0 } else { left - 1 };
        self.checks_left.store(left, Ordering::Relaxed);
        if let Some(span) = omitted {
            self.warnings.warn(|| {
                warn!(
                    span = span.name(),
                    span_target = span.target(),
                    expected = "a filter that enables spans of level INFO, such as RUST_LOG=info, or a filter for log lines only: \
                        baton_lambda::log_layer().with_filter(…)",
                    "spans of #[instrument] and of the span macros are not created: a filter of the program's own subscriber omits them"
                );
            });
        }
    }
}

/// Returns a span of the program that has been reached, created or not.
///
/// `tracing` registers every span and event that the program has reached with a new subscriber,
/// regardless of the filters of other subscribers.
fn reached_span() -> Option<&'static Metadata<'static>> {
    let reached = Arc::new(OnceLock::new());
    drop(Dispatch::new(ReachedSpan(reached.clone())));
    // The cached interest in each span and event would otherwise still include that of the dropped
    // subscriber.
    callsite::rebuild_interest_cache();
    reached.get().copied()
}

/// A subscriber that records nothing. Remembers one of the program's spans.
struct ReachedSpan(Arc<OnceLock<&'static Metadata<'static>>>);

impl Subscriber for ReachedSpan {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() && program_spans::has_default_level(metadata) {
            let _ = self.0.set(metadata);
        }
        Interest::never()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests;
