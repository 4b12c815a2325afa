//! The process's metrics: aggregated where they are measured, collected by a flush, and exported
//! with the spans.
//!
//! With delta temporality each data point exists once. Data points that the collector has not
//! accepted are kept here, encoded, and sent again before a newer collection. While that fails, the
//! instruments continue to aggregate, so that at most one collection is kept.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use opentelemetry_sdk::Resource;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;
use tracing::warn;

use self::self_metrics::SelfMetrics;
use self::shared_export::SharedExport;
use crate::config::TemporalityPreference;
use crate::export::breaker::BreakerStatus;
use crate::export::collector::Destination;
use crate::export::{CollectorMessages, ExporterError, FailureLog, run_until};
use crate::otlp::encode::metrics::MetricsRequest;
use crate::otlp::encode::{self, ResourceFrame};
use crate::otlp::{PartialSuccess, Signal};
use crate::transport::client::BufList;

mod guarded_meters;
mod instrument;
mod meter;
mod sdk_metrics;
mod self_metrics;
mod series;
mod shared_export;

pub(crate) use meter::Meters;
pub(crate) use sdk_metrics::SdkMetrics;
pub(crate) use self_metrics::RecordCounts;

/// Length at which a request is closed. Collectors accept 4 MiB by default, and the data point that
/// reaches this limit is still added.
const MAX_REQUEST_BYTES: usize = 3 * 1024 * 1024;

/// The meters and the exporter of their metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    meters: Meters,
    destination: Destination,
    failure_log: FailureLog,
    collector_messages: CollectorMessages,
    resource: ResourceFrame,
    temporality: TemporalityPreference,
    self_metrics: SelfMetrics,
    /// Locked by the running export.
    pending: Mutex<PendingRequests>,
    shared_export: SharedExport,
    counts: PointCounts,
}

/// Data points since the start of the process.
#[derive(Debug, Default)]
struct PointCounts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

/// Encoded collections that the collector has not accepted, oldest first.
#[derive(Debug)]
struct PendingRequests {
    requests: VecDeque<MetricsRequest>,
    max_bytes: usize,
}

/// Returns the current counts of spans and log records. Called when it is the export's turn,
/// because counts that another export has reported must not be reported again.
pub(crate) type ReadCounts<'a> = dyn Fn() -> RecordCounts + Sync + 'a;

type ExportFuture<'a> = Pin<Box<dyn Future<Output = Result<(), ExporterError>> + Send + 'a>>;

impl Metrics {
    /// Creates the meters and their exporter, which keeps at most `max_bytes` of unaccepted
    /// requests from one export to the next.
    pub(crate) fn new(
        destination: Destination,
        resource: &Resource,
        temporality: TemporalityPreference,
        max_bytes: usize,
    ) -> Self {
        let meters = Meters::new(temporality);
        Self {
            self_metrics: SelfMetrics::new(&meters),
            meters,
            temporality,
            failure_log: FailureLog::new(Signal::Metrics, destination.to_string()),
            collector_messages: CollectorMessages::new(destination.to_string()),
            destination,
            resource: encode::resource(resource),
            pending: Mutex::new(PendingRequests::new(max_bytes)),
            shared_export: SharedExport::default(),
            counts: PointCounts::default(),
        }
    }

    /// Returns the number of dropped data points.
    pub(crate) fn dropped(&self) -> u64 {
        self.counts.dropped.load(Relaxed)
    }

    pub(crate) fn breaker_status(&self) -> Option<BreakerStatus> {
        self.destination.breaker_status()
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Exports the recorded measurements and the counts of spans and log records, until `deadline`
    /// at the latest. Waits for a running export.
    ///
    /// The future is boxed, because each crate that polls it would otherwise compile its own copy.
    pub(crate) fn export<'a>(
        &'a self,
        read_counts: &'a ReadCounts<'a>,
        deadline: Instant,
    ) -> ExportFuture<'a> {
        Box::pin(async move {
            let pending = run_until(deadline, self.pending.lock()).await;
            self.export_in_turn(pending, read_counts, deadline).await
        })
    }

    /// Leaves the export to a running one that will collect once more, or else does the same as
    /// [`export`](Self::export).
    pub(crate) fn join_or_export<'a>(
        &'a self,
        read_counts: &'a ReadCounts<'a>,
        deadline: Instant,
    ) -> ExportFuture<'a> {
        Box::pin(async move {
            if self.shared_export.join() {
                return Ok(());
            }
            self.export(read_counts, deadline).await
        })
    }

    async fn export_in_turn(
        &self,
        turn: Result<MutexGuard<'_, PendingRequests>, ExporterError>,
        read_counts: &ReadCounts<'_>,
        deadline: Instant,
    ) -> Result<(), ExporterError> {
        let mut pending = turn.inspect_err(|error| self.log_failure(error))?;
        // Declared after `pending` and therefore dropped before it: an export that is cancelled
        // must stop accepting requests before the next one gets the lock.
        let open = self.shared_export.open();
        let outcome = self.export_once(&mut pending, read_counts, deadline).await;
        // Flushes that arrive during the second round wait for their own turn. Otherwise one flush
        // might serve others without end.
        let is_requested = open.close();
        // A permanent rejection has dropped what was rejected, so the second round may succeed.
        // After any other failure it would most likely fail as well.
        let collector_accepts = outcome
            .as_ref()
            .map_or_else(ExporterError::is_permanent, |()| true);
        if is_requested && collector_accepts && Instant::now() < deadline {
            let second = self.export_once(&mut pending, read_counts, deadline).await;
            return outcome.and(second);
        }
        outcome
    }

    /// Collects and sends once, and drops unaccepted requests beyond the limit.
    async fn export_once(
        &self,
        pending: &mut PendingRequests,
        read_counts: &ReadCounts<'_>,
        deadline: Instant,
    ) -> Result<(), ExporterError> {
        let outcome = self.send_all(pending, read_counts, deadline).await;
        if self.temporality == TemporalityPreference::Cumulative {
            // The next collection repeats these values.
            pending.requests.clear();
        }
        let dropped = pending.trim();
        if dropped > 0 {
            self.drop_points(dropped);
        }
        outcome.inspect_err(|error| self.log_failure(error))
    }

    async fn send_all(
        &self,
        pending: &mut PendingRequests,
        read_counts: &ReadCounts<'_>,
        deadline: Instant,
    ) -> Result<(), ExporterError> {
        self.send_pending(pending, deadline).await?;
        // While the circuit breaker is open, measurements stay in the instruments, which add them
        // up. Collected, they would only take up memory.
        if !self.destination.accepts_requests() {
            return Ok(());
        }
        // Called before any value is read. A flush that joins later may have measured something
        // that this collection misses, so it causes another one.
        self.shared_export.begin_collection();
        let breaker = self.breaker_status();
        self.self_metrics
            .record(read_counts(), self.dropped(), breaker);
        let collected = self.collect();
        if let Some(console) = self.destination.additional_console() {
            for request in &collected {
                let written = console.write(request_body(request)).map(drop);
                let written = written.map_err(ExporterError::from);
                written.unwrap_or_else(|error| self.log_failure(&error));
            }
        }
        pending.requests.extend(collected);
        self.send_pending(pending, deadline).await
    }

    fn collect(&self) -> Vec<MetricsRequest> {
        let now = SystemTime::now();
        self.meters.collect(&self.resource, MAX_REQUEST_BYTES, now)
    }

    /// Sends pending requests, oldest first, until one fails. A request that the collector rejects
    /// permanently is dropped, so that it does not block the others.
    async fn send_pending(
        &self,
        pending: &mut PendingRequests,
        deadline: Instant,
    ) -> Result<(), ExporterError> {
        let mut outcome = Ok(());
        while let Some(request) = pending.requests.front() {
            let (points, body) = (request.points, request_body(request));
            let response = self.destination.send(body, deadline).await;
            match response.map_err(ExporterError::from) {
                Ok(partial) => self.count_accepted(points, &partial),
                Err(rejection) if rejection.is_permanent() => {
                    self.drop_points(points);
                    outcome = Err(rejection);
                }
                Err(retryable) => return Err(retryable),
            }
            // Removed only after the response, so that an export that is cancelled during the
            // request leaves it to the next one.
            pending.requests.pop_front();
        }
        outcome
    }

    /// Counts data points as dropped that no later export will send, because the process ends:
    /// those that the collector has not accepted, and those that were not collected because the
    /// circuit breaker is open.
    pub(crate) fn discard_pending(&self) {
        // A running export counts its own data points.
        let Ok(mut pending) = self.pending.try_lock() else {
            return;
        };
        let mut discarded = mem::take(&mut pending.requests);
        if self.temporality != TemporalityPreference::Cumulative
            && !self.destination.accepts_requests()
        {
            discarded.extend(self.collect());
        }
        let points = discarded.iter().map(|request| request.points).sum();
        if points > 0 {
            self.drop_points(points);
        }
    }

    /// Counts the data points of an accepted request, of which the collector may have rejected
    /// some.
    fn count_accepted(&self, points: u64, partial: &PartialSuccess) {
        // A collector may claim to have rejected more points than it was sent. The subtraction
        // below would then underflow.
        let rejected = partial.rejected.min(points);
        if rejected > 0 {
            warn!(
                endpoint = %self.destination,
                rejected,
                collector_message = partial.message,
                "metric data points rejected by the collector"
            );
        } else {
            self.collector_messages.log(&partial.message);
        }
        self.counts.dropped.fetch_add(rejected, Relaxed);
        self.counts.exported.fetch_add(points - rejected, Relaxed);
    }

    fn log_failure(&self, error: &ExporterError) {
        self.failure_log
            .log(error, self.counts.exported.load(Relaxed));
    }

    fn drop_points(&self, points: u64) {
        self.counts.dropped.fetch_add(points, Relaxed);
        warn!(
            points,
            "metric data points dropped: rejected by the collector, or too many were pending"
        );
    }
}

impl PendingRequests {
    fn new(max_bytes: usize) -> Self {
        Self {
            requests: VecDeque::new(),
            max_bytes,
        }
    }

    /// Drops the oldest requests until the rest is within the limit. Returns how many data points
    /// were dropped.
    fn trim(&mut self) -> u64 {
        let lengths = self.requests.iter().map(|request| request.bytes.len());
        let mut bytes: usize = lengths.sum();
        let mut dropped = 0;
        while bytes > self.max_bytes
            && let Some(oldest) = self.requests.pop_front()
        {
            bytes -= oldest.bytes.len();
            dropped += oldest.points;
        }
        dropped
    }
}

fn request_body(request: &MetricsRequest) -> BufList {
    // The second slot is for the framing that the protocol prepends.
    let mut body = BufList::with_capacity(2);
    body.push(request.bytes.clone());
    body
}

#[cfg(test)]
mod tests;
