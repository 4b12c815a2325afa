//! Errors recorded through `tracing`, on the spans in which they occurred.

use opentelemetry::trace::Status;
use tracing::{debug, error, info, warn};

use super::*;

#[derive(Debug)]
struct NoStock;

impl std::fmt::Display for NoStock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("nothing left")
    }
}

#[instrument(target = "orders", skip_all, err)]
fn plain() -> Result<(), NoStock> {
    Err(NoStock)
}

#[instrument(target = "orders", skip_all, err)]
async fn later() -> Result<(), NoStock> {
    tokio::task::yield_now().await;
    Err(NoStock)
}

#[instrument(target = "orders", skip_all, err(level = "warn"))]
async fn warned() -> Result<(), NoStock> {
    Err(NoStock)
}

#[instrument(target = "orders", skip_all, err(level = "debug"))]
fn quiet() -> Result<(), NoStock> {
    Err(NoStock)
}

#[instrument(target = "orders", skip_all, err(Debug))]
fn debugged() -> Result<(), NoStock> {
    Err(NoStock)
}

#[instrument(target = "orders", level = "debug", skip_all, err(level = "info"))]
fn unseen() -> Result<(), NoStock> {
    Err(NoStock)
}

/// Returns the spans that end in `run`, with a log filter of ERROR.
async fn spans_of<T>(run: impl Future<Output = T>) -> Vec<SpanData> {
    let _subscriber = tracing::subscriber::set_default(subscriber("error"));
    let (context, record) = record();
    run.with_context(context).await;
    ended(&record)
}

#[tokio::test]
async fn an_error_that_instrument_records_is_status_and_event_of_its_span() {
    let run = async {
        let _ = (plain(), later().await, warned().await, quiet(), debugged());
    };
    let spans = spans_of(run).await;
    for (span, (name, text)) in spans.iter().zip([
        ("plain", "nothing left"),
        ("later", "nothing left"),
        ("warned", "nothing left"),
        ("quiet", "nothing left"),
        ("debugged", "NoStock"),
    ]) {
        assert_eq!(span.name, name);
        assert_eq!(span.status, Status::error(text), "{name}");
        let [event] = &span.events[..] else {
            panic!("one event of {name}: {:?}", span.events);
        };
        assert_eq!(event.name, "exception");
        let mut attributes = event.attributes.iter();
        let message = attributes.find(|attribute| attribute.key.as_str() == "exception.message");
        assert_eq!(message.unwrap().value.as_str(), text, "{name}");
    }
    assert_eq!(spans.len(), 5);
}

#[tokio::test]
async fn other_events_stay_log_lines() {
    let spans = spans_of(async {
        let _span = info_span!(target: "orders", "order").entered();
        error!(target: "orders", "a message");
        error!(target: "orders", error = %NoStock, "an error with a message");
        error!(target: "hyper::client", error = %NoStock);
        warn!(target: "orders", error = %NoStock);
        info!(target: "orders", error = %NoStock);
        debug!(target: "orders", count = 1);
    })
    .await;
    assert_eq!(spans[0].status, Status::Unset);
    assert!(spans[0].events.is_empty());
}

#[tokio::test]
async fn an_error_without_a_message_is_one_by_hand_too() {
    let spans = spans_of(async {
        let _span = info_span!(target: "orders", "order").entered();
        error!(target: "orders", error = %NoStock);
    })
    .await;
    assert_eq!(spans[0].status, Status::error("nothing left"));
    assert_eq!(spans[0].events.len(), 1);
}

#[tokio::test]
async fn an_error_of_a_span_that_is_not_made_is_not_one_of_the_span_around_it() {
    let spans = spans_of(async {
        let _span = info_span!(target: "orders", "order").entered();
        let _ = unseen();
    })
    .await;
    assert_eq!((spans.len(), &spans[0].status), (1, &Status::Unset));
}

#[tokio::test]
async fn an_error_in_no_span_of_tracing_leaves_the_record_alone() {
    let spans = spans_of(async { error!(target: "orders", error = %NoStock) }).await;
    assert!(spans.is_empty());
}

#[test]
fn a_programs_own_subscriber_gets_the_errors_that_it_lets_through() {
    let subscriber = tracing_subscriber::registry().with(tracing_layer());
    let _subscriber = tracing::subscriber::set_default(subscriber);
    let (context, record) = record();
    let _active = context.attach();
    let _ = plain();
    assert_eq!(ended(&record)[0].status, Status::error("nothing left"));
}
