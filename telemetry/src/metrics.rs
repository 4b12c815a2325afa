//! The process's metrics: aggregated where they are measured, collected at a flush, and sent beside
//! the spans.
//!
//! With delta temporality a data point exists once: what was collected and the collector has not
//! taken is kept here, encoded, and sent again before anything newer is collected. While that fails
//! the instruments go on aggregating, so that one collection is kept at most.

use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use opentelemetry_sdk::Resource;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;
use tracing::warn;

use self::accounts::Accounts;
use self::handover::Handover;
use self::outbox::Outbox;
use crate::config::Temporality;
use crate::export::collector::Uplink;
use crate::export::{CollectorMessages, ExportError, Failures, before};
use crate::otlp::encode::metrics::MetricsRequest;
use crate::otlp::encode::{self, ResourceFrame};
use crate::otlp::{PartialSuccess, Signal};
use crate::transport::client::Frames;

mod accounts;
mod give_up;
mod handover;
mod instrument;
mod meter;
mod outbox;
mod series;

pub(crate) use accounts::Standing;
pub(crate) use meter::Meters;

/// Requests are cut when they have become this long. Collectors take 4 MiB, and the last data point
/// comes on top.
const MAX_REQUEST_BYTES: usize = 3 * 1024 * 1024;

/// The meters, and the way from it to the collector.
#[derive(Debug)]
pub(crate) struct Metrics {
    meters: Meters,
    uplink: Uplink,
    failures: Failures,
    messages: CollectorMessages,
    resource: ResourceFrame,
    temporality: Temporality,
    /// Of the telemetry itself.
    accounts: Accounts,
    /// Held by the export that is under way.
    outbox: Mutex<Outbox>,
    handover: Handover,
    counts: PointCounts,
}

/// Data points since the start of the process.
#[derive(Debug, Default)]
struct PointCounts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

/// Says how the records stand. Asked when it is the export's turn: what another one has told
/// already must not be told again.
type Ask<'a> = dyn Fn() -> Standing + Sync + 'a;

/// An export under way.
type Exporting<'a> = Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + 'a>>;

impl Metrics {
    pub(crate) fn new(
        uplink: Uplink,
        resource: &Resource,
        temporality: Temporality,
        max_bytes: usize,
    ) -> Self {
        let meters = Meters::new(temporality);
        Self {
            accounts: Accounts::new(&meters),
            meters,
            temporality,
            failures: Failures::new(Signal::Metrics, uplink.to_string()),
            messages: CollectorMessages::new(uplink.to_string()),
            uplink,
            resource: encode::resource(resource),
            outbox: Mutex::new(Outbox::new(max_bytes)),
            handover: Handover::default(),
            counts: PointCounts::default(),
        }
    }

    /// Data points that no collector is going to get.
    pub(crate) fn dropped(&self) -> u64 {
        self.counts.dropped.load(Relaxed)
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Sends what was recorded, until `deadline` at the latest, and with it how spans and log
    /// records stand. An export that is under way is waited for.
    ///
    /// The future is on the heap: it is polled in other crates, each of which would have a copy of
    /// what it does.
    pub(crate) fn export<'a>(&'a self, standing: &'a Ask<'a>, deadline: Instant) -> Exporting<'a> {
        Box::pin(async move {
            let outbox = before(deadline, self.outbox.lock()).await;
            self.export_in_turn(outbox, standing, deadline).await
        })
    }

    /// As [`export`](Self::export), but leaves it to one that is under way where that is going to
    /// collect once more.
    pub(crate) fn export_unless_busy<'a>(
        &'a self,
        standing: &'a Ask<'a>,
        deadline: Instant,
    ) -> Exporting<'a> {
        Box::pin(async move {
            match self.handover.leave() {
                true => Ok(()),
                false => self.export(standing, deadline).await,
            }
        })
    }

    async fn export_in_turn(
        &self,
        turn: Result<MutexGuard<'_, Outbox>, ExportError>,
        standing: &Ask<'_>,
        deadline: Instant,
    ) -> Result<(), ExportError> {
        let mut outbox = turn.inspect_err(|error| self.tell(error))?;
        let opened = self.handover.open();
        let outcome = self.export_from(&mut outbox, standing, deadline).await;
        // Those who come during the second round wait for their own turn, so that nobody has to go
        // on and on for others.
        let is_asked = opened.close();
        let is_taking = outcome
            .as_ref()
            .map_or_else(ExportError::is_final, |()| true);
        if is_asked && is_taking && Instant::now() < deadline {
            let others = self.export_from(&mut outbox, standing, deadline).await;
            return outcome.and(others);
        }
        outcome
    }

    /// One round. Above the bound, what is left of it is dropped.
    async fn export_from(
        &self,
        outbox: &mut Outbox,
        standing: &Ask<'_>,
        deadline: Instant,
    ) -> Result<(), ExportError> {
        let outcome = self.send_all(outbox, standing, deadline).await;
        if self.temporality == Temporality::Cumulative {
            // The next collection says it again.
            outbox.kept.clear();
        }
        let dropped = outbox.trim();
        if dropped > 0 {
            self.drop_points(dropped);
        }
        outcome.inspect_err(|error| self.tell(error))
    }

    async fn send_all(
        &self,
        outbox: &mut Outbox,
        standing: &Ask<'_>,
        deadline: Instant,
    ) -> Result<(), ExportError> {
        self.send_kept(outbox, deadline).await?;
        // What no collector is asked to take is better left where it goes on adding up.
        if !self.uplink.is_open() {
            return Ok(());
        }
        self.handover.begin_collection();
        self.accounts.record(standing(), self.dropped());
        let now = SystemTime::now();
        let collected = self.meters.collect(&self.resource, MAX_REQUEST_BYTES, now);
        if let Some(console) = self.uplink.second_console() {
            for request in &collected {
                let written = console.write(request_body(request)).map(drop);
                let written = written.map_err(ExportError::from);
                written.unwrap_or_else(|error| self.tell(&error));
            }
        }
        outbox.kept.extend(collected);
        self.send_kept(outbox, deadline).await
    }

    /// Sends what is kept, the oldest first, until one request fails. What is never going to be
    /// taken does not stand in the way of the rest.
    async fn send_kept(&self, outbox: &mut Outbox, deadline: Instant) -> Result<(), ExportError> {
        let mut outcome = Ok(());
        while let Some(request) = outbox.kept.front() {
            let (points, body) = (request.points, request_body(request));
            match self
                .uplink
                .send(body, deadline)
                .await
                .map_err(ExportError::from)
            {
                Ok(partial) => self.count_taken(points, &partial),
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
    fn count_taken(&self, points: u64, partial: &PartialSuccess) {
        let rejected = partial.rejected.min(points);
        if rejected > 0 {
            warn!(
                endpoint = %self.uplink,
                rejected,
                collector_message = partial.message,
                "metric data points rejected by the collector"
            );
        } else {
            self.messages.log(&partial.message);
        }
        self.counts.dropped.fetch_add(rejected, Relaxed);
        self.counts.exported.fetch_add(points - rejected, Relaxed);
    }

    fn tell(&self, error: &ExportError) {
        self.failures
            .tell(error, self.counts.exported.load(Relaxed));
    }

    fn drop_points(&self, points: u64) {
        self.counts.dropped.fetch_add(points, Relaxed);
        warn!(
            points,
            "metric data points dropped: the collector refused them, or there were more than may be kept"
        );
    }
}

fn request_body(request: &MetricsRequest) -> Frames {
    // Reserves room for the protocol's framing.
    let mut body = Frames::with_capacity(2);
    body.push(request.bytes.clone());
    body
}

#[cfg(test)]
mod tests;
