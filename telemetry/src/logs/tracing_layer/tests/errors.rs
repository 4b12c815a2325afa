//! Errors recorded through `tracing`, on the spans in which they occurred.

use std::error::Error;

use opentelemetry::trace::Status;
use tracing::{Dispatch, debug, error, info, warn};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::reload;

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("nothing left")]
struct NoStock;

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

/// Runs the future with a log filter of ERROR, and returns the spans that have ended.
async fn run_and_collect_spans<T>(run: impl Future<Output = T>) -> Vec<SpanData> {
    let _subscriber = tracing::subscriber::set_default(subscriber("error"));
    let (context, record) = record();
    run.with_context(context).await;
    ended(&record)
}

#[tokio::test]
async fn an_error_recorded_by_instrument_sets_the_status_and_adds_an_event() {
    let run = async {
        let _ = (plain(), later().await, warned().await, quiet(), debugged());
    };
    let spans = run_and_collect_spans(run).await;
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

#[derive(Debug, thiserror::Error)]
#[error("order 7 cannot be reserved")]
struct Unreserved(#[source] NoStock);

#[tokio::test]
async fn the_text_of_an_error_is_recorded_for_every_type_of_field() {
    let unreserved = Unreserved(NoStock);
    let spans = run_and_collect_spans(async {
        let in_span = |record: &dyn Fn()| info_span!(target: "orders", "order").in_scope(record);
        in_span(&|| error!(target: "orders", error = &unreserved as &dyn Error, order.id = 7));
        in_span(&|| error!(target: "orders", error = "nothing left"));
        in_span(&|| error!(target: "orders", error = %NoStock));
        in_span(&|| error!(target: "orders", error = 5));
    })
    .await;
    let found = spans.iter().map(|span| {
        let event = &span.events[0];
        let [message] = &event.attributes[..] else {
            panic!("one attribute: {:?}", event.attributes);
        };
        assert_eq!(
            (&*event.name, message.key.as_str()),
            ("exception", "exception.message")
        );
        (span.status.clone(), message.value.as_str().into_owned())
    });
    let expected = [
        "order 7 cannot be reserved: nothing left",
        "nothing left",
        "nothing left",
        "5",
    ];
    let expected = expected.map(|text| (Status::error(text), text.to_owned()));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn other_events_are_not_recorded_on_the_span() {
    let spans = run_and_collect_spans(async {
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
async fn a_hand_written_error_without_a_message_is_recorded() {
    let spans = run_and_collect_spans(async {
        let _span = info_span!(target: "orders", "order").entered();
        error!(target: "orders", error = %NoStock);
    })
    .await;
    assert_eq!(spans[0].status, Status::error("nothing left"));
    assert_eq!(spans[0].events.len(), 1);
}

#[tokio::test]
async fn an_error_of_an_omitted_span_is_not_recorded_on_the_surrounding_span() {
    let spans = run_and_collect_spans(async {
        let _span = info_span!(target: "orders", "order").entered();
        let _ = unseen();
    })
    .await;
    assert_eq!((spans.len(), &spans[0].status), (1, &Status::Unset));
}

#[tokio::test]
async fn an_error_outside_tracing_spans_is_not_recorded_on_the_record() {
    let spans = run_and_collect_spans(async { error!(target: "orders", error = %NoStock) }).await;
    assert!(spans.is_empty());
}

#[test]
fn a_programs_own_subscriber_records_errors_even_if_the_layer_is_wrapped() {
    let registry = tracing_subscriber::registry;
    let (reloaded, _handle) = reload::Layer::new(tracing_layer());
    for subscriber in [
        Dispatch::new(registry().with(tracing_layer())),
        Dispatch::new(registry().with(tracing_layer().boxed())),
        Dispatch::new(registry().with(Some(tracing_layer()))),
        Dispatch::new(registry().with(vec![tracing_layer().boxed()])),
        Dispatch::new(registry().with(tracing_layer().with_filter(LevelFilter::INFO))),
        Dispatch::new(registry().with(reloaded)),
    ] {
        let (context, record) = record();
        tracing::dispatcher::with_default(&subscriber, || {
            let _active = context.attach();
            let _ = plain();
        });
        let spans = ended(&record);
        assert_eq!(spans[0].status, Status::error("nothing left"));
        assert_eq!(spans[0].events.len(), 1);
    }
}
