//! Exports beside one another.

use std::task::{Context, Waker};

use super::*;
use crate::buffer::Counts;
use crate::config::Export;
use crate::output::Output;

/// Metrics that are written where the test finds them.
fn metrics() -> (Metrics, Output) {
    let output = Output::captured();
    let destination = Destination::new(
        Signal::Metrics,
        &Export::Console,
        None,
        Duration::ZERO,
        &output,
    );
    let resource = Resource::builder_empty().build();
    let metrics = Metrics::new(
        destination.unwrap(),
        &resource,
        Temporality::Delta,
        usize::MAX,
    );
    (metrics, output)
}

/// Of so many spans, all have arrived.
fn read_counts(spans: u64) -> RecordCounts {
    RecordCounts {
        spans: Counts {
            finished: spans,
            exported: spans,
            ..Counts::default()
        },
        log_records: None,
    }
}

/// More than a test waits.
fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn waits(export: &mut ExportFuture<'_>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    export.as_mut().poll(&mut context).is_pending()
}

#[tokio::test]
async fn how_records_stand_is_asked_when_it_is_the_exports_turn() {
    let (metrics, output) = metrics();
    let spans = AtomicU64::new(1);
    let ask = || read_counts(spans.load(Relaxed));
    let other = metrics.pending.lock().await;
    let mut export = metrics.export(&ask, later());
    assert!(waits(&mut export));
    // Whoever has the turn tells of seven spans.
    spans.store(7, Relaxed);
    metrics.self_metrics.record(ask(), 0);
    drop(other);
    export.await.unwrap();
    metrics.export(&ask, later()).await.unwrap();
    let [line] = &output.lines()[..] else {
        panic!("{:?}", output.lines());
    };
    assert!(line.contains(r#""asInt":"7""#), "{line}");
}

#[tokio::test]
async fn who_comes_when_nobody_is_going_to_collect_again_waits_for_a_turn() {
    let (metrics, output) = metrics();
    let counter = metrics.meters().meter("test").u64_counter("orders").build();
    let ask = || read_counts(0);
    // As in the second round of an export.
    let other = metrics.pending.lock().await;
    counter.add(1, &[]);
    let mut export = metrics.join_or_export(&ask, later());
    assert!(waits(&mut export));
    drop(other);
    export.await.unwrap();
    assert_eq!(output.lines().len(), 1);
}

#[tokio::test]
async fn an_export_that_is_given_up_takes_over_nothing_more() {
    let (metrics, output) = metrics();
    let counter = metrics.meters().meter("test").u64_counter("orders").build();
    let ask = || read_counts(0);
    drop(metrics.shared_export.open());
    counter.add(1, &[]);
    metrics.join_or_export(&ask, later()).await.unwrap();
    assert_eq!(output.lines().len(), 1);
}
