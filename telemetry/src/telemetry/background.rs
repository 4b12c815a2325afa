//! Export in the background, for services that run all the time.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::logs;
use super::pipeline::ExportPipeline;
use crate::buffer::Selection;
use crate::config::TelemetryConfig;
use crate::export::{ExportCounts, ExporterError};

/// Minimum time for one export in the background, even if the schedule delay is shorter.
const MIN_EXPORT_TIME: Duration = Duration::from_secs(1);

/// Intervals of exports in the background.
#[derive(Debug, Clone, Copy)]
pub(super) struct Intervals {
    /// Between two exports of spans and log records: `OTEL_BSP_SCHEDULE_DELAY`.
    pub(super) records: Duration,
    /// Between two exports of metrics: `OTEL_METRIC_EXPORT_INTERVAL`.
    pub(super) metrics: Duration,
}

impl Intervals {
    pub(super) fn new(config: &TelemetryConfig) -> Self {
        Self {
            records: config.schedule_delay,
            metrics: config.metric_interval,
        }
    }
}

/// The task that exports in the background.
#[derive(Debug)]
pub(super) struct BackgroundExport {
    task: JoinHandle<()>,
    /// Dropped to stop the task.
    stop: watch::Sender<()>,
}

impl BackgroundExport {
    /// Starts the task.
    pub(super) fn start(pipeline: Arc<ExportPipeline>, intervals: Intervals) -> Self {
        let (stop, stopped) = watch::channel(());
        let task = tokio::spawn(run(pipeline, intervals, stopped));
        Self { task, stop }
    }

    /// Tells the task to stop, and returns its handle. The task ends when its running exports do.
    pub(super) fn stop(self) -> JoinHandle<()> {
        drop(self.stop);
        self.task
    }
}

/// Completes when the sender is dropped.
async fn wait_until_closed(mut receiver: watch::Receiver<()>) {
    while receiver.changed().await.is_ok() {}
}

/// Exports until `stopped` completes. Metrics have a separate loop, so that a collector of metrics
/// that hangs does not delay spans and log records.
async fn run(pipeline: Arc<ExportPipeline>, intervals: Intervals, stopped: watch::Receiver<()>) {
    tokio::join!(
        export_records_until(
            &pipeline,
            intervals.records,
            wait_until_closed(stopped.clone())
        ),
        export_metrics_until(&pipeline, intervals.metrics, wait_until_closed(stopped)),
    );
}

async fn export_records_until(
    pipeline: &ExportPipeline,
    interval: Duration,
    stopped: impl Future<Output = ()>,
) {
    let ExportPipeline { buffer, logs, .. } = pipeline;
    let mut stopped = pin!(stopped);
    let mut failed = false;
    let mut due = Instant::now() + interval;
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return,
            // Before the branches below: a buffer that keeps filling up must not prevent the
            // scheduled export.
            () = sleep_until(due) => {}
            () = buffer.half_full() => {
                // A full buffer does not justify contacting a failing collector more often.
                if failed {
                    make_room(pipeline, interval);
                    pipeline.report_losses(buffer.counts(), false);
                    continue;
                }
            }
            () = logs::half_full(logs.as_ref()), if !failed => {}
        }
        failed = export_records(pipeline, interval).await.is_err();
        due = Instant::now() + interval;
    }
}

async fn export_metrics_until(
    pipeline: &ExportPipeline,
    interval: Duration,
    stopped: impl Future<Output = ()>,
) {
    let mut stopped = pin!(stopped);
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return,
            () = sleep(interval) => {}
        }
        let deadline = Instant::now() + interval;
        pipeline.export_metrics(Selection::All, deadline).await;
    }
}

/// Exports spans and log records.
async fn export_records(
    pipeline: &ExportPipeline,
    interval: Duration,
) -> Result<(), ExporterError> {
    let deadline = export_deadline(interval);
    let (selection, mut sent) = (Selection::All, ExportCounts::default());
    let (outcome, ()) = tokio::join!(
        pipeline.export_spans(selection, deadline, &mut sent),
        pipeline.export_logs(selection, deadline),
    );
    if outcome.is_err() {
        make_room(pipeline, interval);
    }
    pipeline.report_losses(pipeline.buffer.counts(), outcome.is_err());
    outcome
}

/// Spills the buffered spans if they fill half of the buffer.
fn make_room(pipeline: &ExportPipeline, interval: Duration) {
    if pipeline.buffer.is_half_full() {
        pipeline.spill(Selection::All, export_deadline(interval));
    }
}

fn export_deadline(interval: Duration) -> Instant {
    Instant::now() + interval.max(MIN_EXPORT_TIME)
}
