//! Concurrent exports of metrics.

use std::task::{Context, Waker};

use super::*;
use crate::buffer::Counts;
use crate::config::ExporterConfig;
use crate::output::Output;

/// Returns metrics with the console exporter, and its output.
fn metrics() -> (Metrics, Output) {
    let output = Output::captured();
    let destination = Destination::new(
        Signal::Metrics,
        &ExporterConfig::Console,
        None,
        Duration::ZERO,
        &output,
    );
    let resource = Resource::builder_empty().build();
    let metrics = Metrics::new(
        destination.unwrap(),
        &resource,
        TemporalityPreference::Delta,
        usize::MAX,
    );
    (metrics, output)
}

/// Returns the counts after this number of spans has been exported.
fn exported_counts(spans: u64) -> RecordCounts {
    RecordCounts {
        spans: Counts {
            finished: spans,
            exported: spans,
            ..Counts::default()
        },
        log_records: None,
        breakers: [None, None],
    }
}

/// Returns a deadline that no test reaches.
fn far_deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn is_waiting(export: &mut ExportFuture<'_>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    export.as_mut().poll(&mut context).is_pending()
}

#[tokio::test]
async fn an_export_reads_the_record_counts_after_it_acquires_the_lock() {
    let (metrics, output) = metrics();
    let spans = AtomicU64::new(1);
    let read_counts = || exported_counts(spans.load(Relaxed));
    let other = metrics.pending.lock().await;
    let mut export = metrics.export(&read_counts, far_deadline());
    assert!(is_waiting(&mut export));
    // The export that holds the lock reports seven spans.
    spans.store(7, Relaxed);
    metrics.self_metrics.record(read_counts(), 0, None);
    drop(other);
    export.await.unwrap();
    metrics.export(&read_counts, far_deadline()).await.unwrap();
    let [line] = &output.lines()[..] else {
        panic!("{:?}", output.lines());
    };
    assert!(line.contains(r#""asInt":"7""#), "{line}");
}

#[tokio::test]
async fn an_export_that_cannot_join_another_one_waits_for_the_lock() {
    let (metrics, output) = metrics();
    let counter = metrics.meters().meter("test").u64_counter("orders").build();
    let read_counts = || exported_counts(0);
    // Another export holds the lock and can no longer be joined, as in its second round.
    let other = metrics.pending.lock().await;
    counter.add(1, &[]);
    let mut export = metrics.join_or_export(&read_counts, far_deadline());
    assert!(is_waiting(&mut export));
    drop(other);
    export.await.unwrap();
    assert_eq!(output.lines().len(), 1);
}

#[tokio::test]
async fn a_cancelled_export_cannot_be_joined() {
    let (metrics, output) = metrics();
    let counter = metrics.meters().meter("test").u64_counter("orders").build();
    let read_counts = || exported_counts(0);
    drop(metrics.shared_export.open());
    counter.add(1, &[]);
    metrics
        .join_or_export(&read_counts, far_deadline())
        .await
        .unwrap();
    assert_eq!(output.lines().len(), 1);
}
