//! Exporters that the program provides, as destinations of requests. They implement the SDK's
//! traits.
//!
//! A flush awaits the exporter's `export` on its own task until its deadline. The buffers, the
//! circuit breaker, the spill and the counts are the same as for a collector, because the records
//! are decoded immediately before the call. All code that calls an exporter is generic, so that a
//! program that provides none does not contain it.

use std::any::type_name;
use std::fmt;
use std::pin::Pin;
use std::time::SystemTime;

use bytes::Buf as _;
use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter, SdkLogRecord};
use opentelemetry_sdk::trace::SpanExporter;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

use self::guarded_export::{ExportReporter, GuardedExport};
use super::breaker::{Breaker, BreakerStatus, Cost, Health, slow_after};
use super::collector::{BREAKER_PAUSE, DestinationError, SendFuture};
use crate::metrics::ReadCounts;
use crate::otlp::PartialSuccess;
use crate::otlp::decode::{self, LogDecoder};
use crate::panics::catch_panic;
use crate::transport::client::BufList;

mod guarded_export;
mod invalid;

pub use invalid::InvalidExporter;
pub(crate) use invalid::{check_debug_form, check_metric_exporter, check_processor};

type ExportFuture<'a> = Pin<Box<dyn Future<Output = OTelSdkResult> + Send + 'a>>;

/// The reason why an exporter that the program provides did not accept records. The SDK's errors do
/// not state whether the same records may be accepted later, so none is permanent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SdkExportError {
    #[error("timed out waiting for the exporter")]
    Timeout,
    /// The text of the SDK's error, which has no cause.
    #[error("the exporter failed: {0}")]
    Failed(String),
    #[error("the exporter panicked: {0}")]
    Panicked(String),
}

/// The future of a flush or of a shutdown.
pub(crate) type FlushFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Signals that the SDK aggregates or buffers, outside the buffers of this crate.
pub(crate) trait SdkPipeline: fmt::Debug + Send + Sync {
    /// Sets the providers as OpenTelemetry's globals.
    fn set_global(&self);

    /// Exports what is pending, until `deadline` at the latest. Failures are logged.
    fn flush<'a>(&'a self, read_counts: &'a ReadCounts<'a>, deadline: Instant) -> FlushFuture<'a>;

    /// Shuts the exporters down, until `deadline` at the latest.
    fn shutdown(&self, deadline: Instant) -> FlushFuture<'_>;

    /// Returns the number of dropped data points.
    fn dropped(&self) -> u64;

    /// Returns the state of the circuit breaker, if there is one.
    fn breaker_status(&self) -> Option<BreakerStatus>;
}

/// An exporter that the program provides, for any signal whose records are buffered.
pub(crate) trait SdkExporter: fmt::Debug + Send + Sync {
    /// Returns the type's name, for the log.
    fn name(&self) -> &'static str;

    /// Passes the resource to the exporter, because the decoded records do not contain it.
    fn set_resource(&mut self, resource: &Resource);

    /// Returns the circuit breaker.
    fn breaker(&self) -> &Breaker;

    /// Exports the records of an `Export…ServiceRequest`. Returns at `deadline` at the latest, and
    /// immediately if the circuit breaker is open.
    fn send(&self, request: BufList, deadline: Instant) -> SendFuture<'_>;

    /// Shuts the exporter down.
    fn shutdown(&self);
}

/// Boxes a span exporter.
pub(crate) fn span_exporter(exporter: impl SpanExporter + 'static) -> Box<dyn SdkExporter> {
    Box::new(GuardedExporter::new(Spans(exporter)))
}

/// Boxes a log exporter.
pub(crate) fn log_exporter(exporter: impl LogExporter + 'static) -> Box<dyn SdkExporter> {
    Box::new(GuardedExporter::new(Logs {
        exporter,
        decoder: LogDecoder::new(),
    }))
}

/// An exporter of one kind of records.
trait RecordExporter: fmt::Debug + Send + Sync {
    fn name(&self) -> &'static str;
    fn set_resource(&mut self, resource: &Resource);
    fn shutdown(&self) -> OTelSdkResult;

    /// Decodes the records of a request and returns the future that exports them.
    fn export(&self, request: &[u8]) -> Result<ExportFuture<'_>, DestinationError>;
}

#[derive(Debug)]
struct Spans<E>(E);

impl<E: SpanExporter> RecordExporter for Spans<E> {
    fn name(&self) -> &'static str {
        type_name::<E>()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.0.shutdown()
    }

    fn export(&self, request: &[u8]) -> Result<ExportFuture<'_>, DestinationError> {
        let spans = decode::spans(request)?;
        // `export` is called inside the future, so that telemetry is suppressed and a panic is
        // caught during the call too.
        Ok(Box::pin(async move { self.0.export(spans).await }))
    }
}

#[derive(Debug)]
struct Logs<E> {
    exporter: E,
    decoder: LogDecoder,
}

impl<E: LogExporter> RecordExporter for Logs<E> {
    fn name(&self) -> &'static str {
        type_name::<E>()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn export(&self, request: &[u8]) -> Result<ExportFuture<'_>, DestinationError> {
        let records = self.decoder.records(request)?;
        Ok(Box::pin(async move {
            let borrowed = records.iter().map(|(record, scope)| (record, scope));
            let borrowed: Vec<(&SdkLogRecord, &InstrumentationScope)> = borrowed.collect();
            self.exporter.export(LogBatch::new(&borrowed)).await
        }))
    }
}

/// An exporter whose exports an [`ExportRunner`] runs.
#[derive(Debug)]
struct GuardedExporter<R> {
    records: R,
    runner: ExportRunner,
    /// Serialises the exports: "Export() should not be called concurrently with other Export calls
    /// for the same exporter instance" (OpenTelemetry specification, "Trace SDK").
    turn: Mutex<()>,
}

impl<R: RecordExporter> GuardedExporter<R> {
    fn new(records: R) -> Self {
        Self {
            runner: ExportRunner::new(records.name()),
            records,
            turn: Mutex::default(),
        }
    }

    /// Waits until no other flush calls the exporter. If this takes until `deadline`, the circuit
    /// breaker does not count a failure, because the exporter was not called.
    async fn wait_for_turn(
        &self,
        deadline: Instant,
    ) -> Result<MutexGuard<'_, ()>, DestinationError> {
        if !self.runner.accepts_requests() {
            return Err(DestinationError::CircuitOpen);
        }
        let turn = timeout_at(deadline, self.turn.lock()).await;
        turn.map_err(|_| DestinationError::Sdk(Box::new(SdkExportError::Timeout)))
    }
}

impl<R: RecordExporter> SdkExporter for GuardedExporter<R> {
    fn name(&self) -> &'static str {
        self.records.name()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.records.set_resource(resource);
    }

    fn breaker(&self) -> &Breaker {
        self.runner.breaker()
    }

    fn send(&self, mut request: BufList, deadline: Instant) -> SendFuture<'_> {
        Box::pin(async move {
            let _turn = self.wait_for_turn(deadline).await?;
            let request = request.copy_to_bytes(request.remaining());
            let export = self.records.export(&request)?;
            self.runner.run(export, request.len(), deadline).await?;
            // The SDK's interface does not report records that the backend rejected.
            Ok(PartialSuccess::default())
        })
    }

    fn shutdown(&self) {
        // The process is about to end, and the exporter logs its failures.
        let _ = catch_panic(|| self.records.shutdown());
    }
}

/// Runs the exports of one exporter with a circuit breaker and a deadline. Telemetry is suppressed,
/// and panics are caught.
#[derive(Debug)]
pub(crate) struct ExportRunner {
    breaker: Breaker,
    reporter: ExportReporter,
}

impl ExportRunner {
    pub(crate) fn new(exporter: &'static str) -> Self {
        Self {
            breaker: Breaker::new(exporter.to_owned(), BREAKER_PAUSE),
            reporter: ExportReporter::new(exporter),
        }
    }

    pub(crate) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Returns false while the circuit breaker is open.
    pub(crate) fn accepts_requests(&self) -> bool {
        self.breaker.would_permit(SystemTime::now())
    }

    /// Awaits an export of about this many bytes. A probe ends when it would count as slow, because
    /// it must not use up the time of a flush.
    pub(crate) async fn run(
        &self,
        export: ExportFuture<'_>,
        bytes: usize,
        deadline: Instant,
    ) -> Result<(), DestinationError> {
        let permit = self.breaker.acquire(SystemTime::now());
        let permit = permit.ok_or(DestinationError::CircuitOpen)?;
        let began = Instant::now();
        let deadline = if permit.is_probe() {
            deadline.min(began + slow_after(bytes))
        } else {
            deadline
        };
        let outcome = GuardedExport::new(&self.reporter, export)
            .until(deadline)
            .await;
        let health = outcome
            .as_ref()
            .map_or(Health::Failed, |()| Health::Accepted);
        let cost = Cost {
            time: began.elapsed(),
            limit: deadline.duration_since(began),
            bytes,
        };
        permit.report(health, cost, SystemTime::now());
        outcome.map_err(|error| DestinationError::Sdk(Box::new(error)))
    }
}
