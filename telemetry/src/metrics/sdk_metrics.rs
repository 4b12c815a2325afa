//! Metrics for an exporter that the program provides. The SDK aggregates them, because only the SDK
//! can create the data that such an exporter takes.

use std::any::type_name;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::global;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Temporality,
};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{error, warn};

use super::ReadCounts;
use super::guarded_meters::GuardedMeters;
use super::self_metrics::SelfMetrics;
use crate::export::breaker::BreakerStatus;
use crate::export::sdk_exporter::{ExportRunner, FlushFuture, SdkPipeline};
use crate::export::{ExporterError, FailureLog, run_until};
use crate::otlp::Signal;
use crate::panics::catch_panic;

/// The SDK's meters, and the exporter that the program provides for their metrics.
///
/// A flush collects the metrics and awaits the export. A collection that the exporter does not
/// accept is kept and exported before the next one; until then the instruments continue to
/// aggregate.
pub(crate) struct SdkMetrics<E> {
    exporter: E,
    temporality: Temporality,
    provider: GuardedMeters,
    reader: SharedReader,
    self_metrics: SelfMetrics,
    runner: ExportRunner,
    failure_log: FailureLog,
    /// The collection that was not accepted. Locked by the running export.
    pending: Mutex<Option<ResourceMetrics>>,
    /// A collection has failed, and the error was logged.
    is_collect_logged: AtomicBool,
    /// Collections that the exporter has accepted.
    exported: AtomicU64,
    /// Data points that were not exported before the process ended.
    dropped: AtomicU64,
}

/// The exporter need not implement `Debug`.
impl<E> fmt::Debug for SdkMetrics<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SdkMetrics")
            .field("runner", &self.runner)
            .finish_non_exhaustive()
    }
}

impl<E: PushMetricExporter> SdkMetrics<E> {
    pub(crate) fn new(exporter: E, resource: &Resource) -> Self {
        let temporality = exporter.temporality();
        let reader = ManualReader::builder().with_temporality(temporality);
        let reader = SharedReader(Arc::new(reader.build()));
        let provider = SdkMeterProvider::builder()
            .with_resource(resource.clone())
            .with_reader(reader.clone())
            .build();
        Self {
            self_metrics: SelfMetrics::new(&provider),
            exporter,
            temporality,
            provider: GuardedMeters(provider),
            reader,
            runner: ExportRunner::new(type_name::<E>()),
            failure_log: FailureLog::new(Signal::Metrics, type_name::<E>().to_owned()),
            pending: Mutex::default(),
            is_collect_logged: AtomicBool::new(false),
            exported: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    pub(crate) fn provider(&self) -> &GuardedMeters {
        &self.provider
    }

    async fn export(
        &self,
        read_counts: &ReadCounts<'_>,
        deadline: Instant,
    ) -> Result<(), ExporterError> {
        let mut pending = run_until(deadline, self.pending.lock()).await?;
        self.export_pending(&mut pending, deadline).await?;
        // While the circuit breaker is open, the instruments continue to aggregate. A collection
        // would only take up memory.
        if !self.runner.accepts_requests() {
            return Ok(());
        }
        let breaker = self.breaker_status();
        self.self_metrics
            .record(read_counts(), self.dropped(), breaker);
        let collected = self.collect();
        if count_points(&collected) > 0 {
            *pending = Some(collected);
        }
        let outcome = self.export_pending(&mut pending, deadline).await;
        if self.temporality == Temporality::Cumulative {
            // The next collection repeats these values.
            *pending = None;
        }
        outcome
    }

    /// Returns an empty collection if the SDK fails. Callbacks of the program do not panic here, so
    /// only a fault of the SDK itself leads to this.
    fn collect(&self) -> ResourceMetrics {
        let mut collected = ResourceMetrics::default();
        let outcome = catch_panic(|| self.reader.collect(&mut collected));
        let outcome = outcome.map(|outcome| outcome.map_err(|error| error.to_string()));
        let Err(error) = outcome.flatten() else {
            return collected;
        };
        if !self.is_collect_logged.swap(true, Relaxed) {
            error!(
                error,
                "metrics are no longer exported: the SDK cannot collect them"
            );
        }
        ResourceMetrics::default()
    }

    /// Exports the pending collection, if there is one. It stays pending if the export fails or is
    /// cancelled.
    async fn export_pending(
        &self,
        pending: &mut Option<ResourceMetrics>,
        deadline: Instant,
    ) -> Result<(), ExporterError> {
        let Some(metrics) = pending.as_ref() else {
            return Ok(());
        };
        let export = Box::pin(async { self.exporter.export(metrics).await });
        // The size is not known, so the circuit breaker allows no additional time for it.
        let outcome = self.runner.run(export, 0, deadline).await;
        outcome?;
        *pending = None;
        self.exported.fetch_add(1, Relaxed);
        Ok(())
    }

    fn drop_pending(&self) {
        // A running export counts its own data points.
        let pending = self.pending.try_lock().ok();
        let Some(metrics) = pending.and_then(|mut pending| pending.take()) else {
            return;
        };
        let points = count_points(&metrics);
        self.dropped.fetch_add(points, Relaxed);
        warn!(
            points,
            "metric data points dropped: not accepted by the exporter"
        );
    }
}

impl<E: PushMetricExporter> SdkPipeline for SdkMetrics<E> {
    fn set_global(&self) {
        global::set_meter_provider(self.provider.clone());
    }

    fn flush<'a>(&'a self, read_counts: &'a ReadCounts<'a>, deadline: Instant) -> FlushFuture<'a> {
        Box::pin(async move {
            if let Err(error) = self.export(read_counts, deadline).await {
                let exported = self.exported.load(Relaxed);
                self.failure_log.log(&error, exported);
            }
        })
    }

    fn shutdown(&self, _: Instant) -> FlushFuture<'_> {
        Box::pin(async move {
            self.drop_pending();
            // The process is about to end, and the exporter logs its failures.
            let _ = catch_panic(|| self.exporter.shutdown());
        })
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    fn breaker_status(&self) -> Option<BreakerStatus> {
        Some(self.runner.breaker().status())
    }
}

/// A reader that is shared with its provider.
#[derive(Debug, Clone)]
pub(super) struct SharedReader(pub(super) Arc<ManualReader>);

impl MetricReader for SharedReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

fn count_points(metrics: &ResourceMetrics) -> u64 {
    let metrics = metrics.scope_metrics().flat_map(|scope| scope.metrics());
    let points = metrics.map(|metric| match metric.data() {
        AggregatedMetrics::F64(data) => count_data_points(data),
        AggregatedMetrics::U64(data) => count_data_points(data),
        AggregatedMetrics::I64(data) => count_data_points(data),
    });
    points.sum::<usize>() as u64
}

fn count_data_points<T>(data: &MetricData<T>) -> usize {
    match data {
        MetricData::Gauge(gauge) => gauge.data_points().count(),
        MetricData::Sum(sum) => sum.data_points().count(),
        MetricData::Histogram(histogram) => histogram.data_points().count(),
        MetricData::ExponentialHistogram(histogram) => histogram.data_points().count(),
    }
}
