//! The process's metrics: aggregated by the SDK, collected at a flush, and sent beside the spans.
//!
//! With delta temporality a data point exists once: what the SDK has handed over and the collector has not taken is kept here, encoded, and
//! sent again before anything newer is collected. While that fails the SDK goes on aggregating, so that one collection is kept at most.

mod outbox;
pub(crate) mod reader;

use crate::encode::{self, ResourceFrame};
use crate::export::{ExportError, Failures, PartialSuccess, before};
use crate::http::Frames;
use crate::signal::Signal;
use crate::uplink::Uplink;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};
use outbox::Outbox;
use reader::Reader;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;
use tracing::warn;

/// What is kept for a collector that does not take it: a usual invocation's data points a thousand times over.
const MAX_KEPT_BYTES: usize = 4 * 1024 * 1024;
/// Lambda ends a process without a word: what was counted since the last flush is worth more than a sum that nobody will continue.
const TEMPORALITY: Temporality = Temporality::Delta;

/// The meter provider, and the way from it to the collector.
#[derive(Debug)]
pub(crate) struct Metrics {
    provider: SdkMeterProvider,
    reader: Reader,
    uplink: Uplink,
    failures: Failures,
    resource: ResourceFrame,
    /// Held by the export that is under way.
    outbox: Mutex<Outbox>,
    counts: PointCounts,
}

/// Data points since the start of the process.
#[derive(Debug, Default)]
struct PointCounts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

/// An export under way.
type Exporting<'a> = Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + 'a>>;

impl Metrics {
    pub(crate) fn new(uplink: Uplink, resource: &Resource) -> Self {
        let reader = Reader::new(TEMPORALITY);
        let provider = SdkMeterProvider::builder()
            .with_resource(resource.clone())
            .with_reader(reader.clone())
            .build();
        Self {
            provider,
            reader,
            failures: Failures::new(Signal::Metrics, uplink.to_string()),
            uplink,
            resource: encode::resource(resource),
            outbox: Mutex::default(),
            counts: PointCounts::default(),
        }
    }

    /// Data points that no collector is going to get.
    pub(crate) fn dropped(&self) -> u64 {
        self.counts.dropped.load(Relaxed)
    }

    pub(crate) fn provider(&self) -> &SdkMeterProvider {
        &self.provider
    }

    /// Sends what was recorded, until `deadline` at the latest. An export that is under way is waited for.
    ///
    /// The future is on the heap: it is polled in other crates, each of which would have a copy of what it does.
    pub(crate) fn export(&self, deadline: Instant) -> Exporting<'_> {
        Box::pin(async move {
            let outbox = before(deadline, self.outbox.lock()).await;
            self.export_in_turn(outbox, deadline).await
        })
    }

    /// As [`export`](Self::export), but does nothing beside one that is under way.
    pub(crate) fn export_unless_busy(&self, deadline: Instant) -> Exporting<'_> {
        Box::pin(async move {
            match self.outbox.try_lock() {
                Ok(outbox) => self.export_in_turn(Ok(outbox), deadline).await,
                Err(_) => Ok(()),
            }
        })
    }

    async fn export_in_turn(
        &self,
        turn: Result<MutexGuard<'_, Outbox>, ExportError>,
        deadline: Instant,
    ) -> Result<(), ExportError> {
        let outcome = match turn {
            Ok(mut outbox) => self.export_from(&mut outbox, deadline).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            let exported = self.counts.exported.load(Relaxed);
            self.failures.tell(error, exported);
        }
        outcome
    }

    async fn export_from(&self, outbox: &mut Outbox, deadline: Instant) -> Result<(), ExportError> {
        self.send_kept(outbox, deadline).await?;
        if self.reader.read(&mut outbox.collected) {
            let dropped = outbox.keep_collected(&self.resource, MAX_KEPT_BYTES);
            if dropped > 0 {
                self.drop_points(dropped);
            }
        }
        self.send_kept(outbox, deadline).await
    }

    /// Sends what is kept, the oldest first, until one request fails. What is never going to be taken does not stand in the way of the rest.
    async fn send_kept(&self, outbox: &mut Outbox, deadline: Instant) -> Result<(), ExportError> {
        let mut outcome = Ok(());
        while let Some(request) = outbox.kept.front() {
            let mut body = Frames::with_capacity(2);
            body.push(request.bytes.clone());
            let points = request.points;
            match self
                .uplink
                .send(body, deadline)
                .await
                .map_err(ExportError::from)
            {
                Ok(answer) => self.count_taken(points, &answer),
                Err(refused) if refused.is_final() => {
                    self.drop_points(points);
                    outcome = Err(refused);
                }
                Err(passing) => return Err(passing),
            }
            outbox.kept.pop_front();
        }
        outcome
    }
}

impl Metrics {
    /// A request has been accepted, but perhaps not all that is in it.
    fn count_taken(&self, points: u64, answer: &[u8]) {
        let mut rejected = 0;
        if let Some(partial) = PartialSuccess::read(answer) {
            rejected = partial.rejected.min(points);
            warn!(
                rejected,
                collector_message = &*partial.message(),
                "metric data points rejected by the collector"
            );
        }
        self.counts.dropped.fetch_add(rejected, Relaxed);
        self.counts.exported.fetch_add(points - rejected, Relaxed);
    }

    fn drop_points(&self, points: u64) {
        self.counts.dropped.fetch_add(points, Relaxed);
        warn!(
            points,
            "metric data points dropped: the collector refused them, or there were more than may be kept"
        );
    }
}

#[cfg(test)]
mod tests;
