//! In-memory store of received spans.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use serde::Serialize;
use tokio::sync::watch;

use super::metric::{MetricCatalog, StoredMetric};
use super::span::{SPAN_ID_LENGTH, StoredSpan, TRACE_ID_LENGTH, to_json_map};

/// Number of spans that the store keeps by default: about a hundred megabytes of ordinary spans,
/// and more traces than anyone reads on a laptop.
const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");

/// Store of received spans. Clones share the same spans.
///
/// The store keeps the newest spans up to its capacity and counts the spans that it removes, so
/// that its memory use stays bounded.
///
/// ```
/// use std::num::NonZeroUsize;
///
/// use baton_local::otlp::SpanStore;
///
/// let store = SpanStore::new(NonZeroUsize::new(1_000).unwrap());
/// assert_eq!(store.totals().received, 0);
/// ```
#[derive(Clone, Debug)]
pub struct SpanStore {
    shared: Arc<SharedStore>,
}

#[derive(Debug)]
struct SharedStore {
    capacity: NonZeroUsize,
    state: Mutex<StoreState>,
    /// Changes with every request, so that [`SpanStore::wait_until`] need not poll.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct StoreState {
    spans: VecDeque<Arc<StoredSpan>>,
    metrics: MetricCatalog,
    totals: Totals,
}

/// Numbers of records received since the store was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Accepted spans. A span that is sent twice counts twice.
    pub received: u64,
    /// Spans rejected because an id was missing or malformed, or because they could not be read.
    pub rejected: u64,
    /// Accepted spans that were later removed to store newer ones.
    pub dropped: u64,
    /// Data points of metrics.
    pub metrics: u64,
    /// Log records.
    pub logs: u64,
}

impl Default for SpanStore {
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY)
    }
}

impl SpanStore {
    /// Creates an empty store that keeps at most `capacity` spans.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        let shared = SharedStore {
            capacity,
            state: Mutex::default(),
            changes: watch::Sender::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Returns all stored spans in the order of arrival.
    #[must_use]
    pub fn spans(&self) -> Vec<Arc<StoredSpan>> {
        self.lock().spans.iter().cloned().collect()
    }

    /// Returns the spans of one trace in the order of arrival.
    #[must_use]
    pub fn trace(&self, trace_id: &str) -> Vec<Arc<StoredSpan>> {
        self.lock()
            .spans
            .iter()
            .filter(|span| span.trace_id == trace_id)
            .cloned()
            .collect()
    }

    /// Returns the numbers of records received so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.lock().totals
    }

    /// Returns the received metrics, ordered by service and name.
    #[must_use]
    pub fn metrics(&self) -> Vec<StoredMetric> {
        self.lock().metrics.all()
    }

    /// Waits until the stored spans satisfy `condition`, which is checked immediately and after
    /// every request.
    pub async fn wait_until(&self, mut condition: impl FnMut(&[Arc<StoredSpan>]) -> bool) {
        let mut changes = self.shared.changes.subscribe();
        while !condition(&self.spans()) {
            // The sender lives in `self`, so the channel cannot be closed while this waits.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Adds the spans of one request and returns the number of rejected ones. `skipped` is the
    /// number of spans that decoding already left out.
    pub(super) fn add_spans(&self, request: Vec<ResourceSpans>, skipped: u64) -> u64 {
        let (spans, rejected) = convert_spans(request);
        let mut state = self.lock();
        state.totals.received += spans.len() as u64;
        state.totals.rejected += rejected + skipped;
        state.spans.extend(spans);
        let excess = state.spans.len().saturating_sub(self.shared.capacity.get());
        state.spans.drain(..excess);
        state.totals.dropped += excess as u64;
        drop(state);
        self.notify();
        rejected
    }

    /// Adds the metrics of one request and returns the number of rejected data points.
    pub(super) fn add_metrics(&self, request: Vec<ResourceMetrics>) -> u64 {
        let mut state = self.lock();
        let points = state.metrics.add(request);
        state.totals.metrics += points.accepted;
        drop(state);
        self.notify();
        points.rejected
    }

    /// Counts the log records of one request and returns the number of rejected ones.
    pub(super) fn add_logs(&self, request: &[ResourceLogs]) -> u64 {
        let records = request
            .iter()
            .flat_map(|resource_logs| &resource_logs.scope_logs)
            .flat_map(|scope_logs| &scope_logs.log_records);
        let (mut accepted, mut rejected) = (0, 0);
        for record in records {
            let is_accepted = is_absent_or_has_length(&record.trace_id, TRACE_ID_LENGTH)
                && is_absent_or_has_length(&record.span_id, SPAN_ID_LENGTH);
            *if is_accepted {
                &mut accepted
            } else {
                &mut rejected
            } += 1;
        }
        self.lock().totals.logs += accepted;
        self.notify();
        rejected
    }

    fn notify(&self) {
        self.shared.changes.send_modify(|change| *change += 1);
    }

    fn lock(&self) -> MutexGuard<'_, StoreState> {
        // No code that runs under the lock can leave the spans half-changed, so a poisoned lock is
        // safe to use.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_absent_or_has_length(id: &[u8], length: usize) -> bool {
    id.is_empty() || id.len() == length
}

fn convert_spans(request: Vec<ResourceSpans>) -> (Vec<Arc<StoredSpan>>, u64) {
    let mut spans = Vec::new();
    let mut rejected = 0;
    for resource_spans in request {
        let resource = Arc::new(to_json_map(
            resource_spans.resource.unwrap_or_default().attributes,
        ));
        for scope_spans in resource_spans.scope_spans {
            let scope = scope_spans.scope.unwrap_or_default().name;
            for span in scope_spans.spans {
                match StoredSpan::from_proto(span, &scope, &resource) {
                    Some(span) => spans.push(Arc::new(span)),
                    None => rejected += 1,
                }
            }
        }
    }
    (spans, rejected)
}
