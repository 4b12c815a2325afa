//! Layers around handlers, in whole invocations.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::trace::TraceContextExt as _;
use tokio::time::sleep;
use tower::ServiceBuilder;
use tower::limit::ConcurrencyLimitLayer;
use tower::timeout::TimeoutLayer;
use tower::timeout::error::Elapsed;

use super::*;
use crate::testing::{Batch, Outcome};
use crate::{Class, Consumer, HandlerError, Raw};

/// A layer for every type of message, which records the ids of the messages with its name.
#[derive(Clone)]
struct RecordLayer {
    name: &'static str,
    entries: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct RecordService<S> {
    layer: RecordLayer,
    inner: S,
}

impl<S> Layer<S> for RecordLayer {
    type Service = RecordService<S>;

    fn layer(&self, inner: S) -> RecordService<S> {
        RecordService {
            layer: self.clone(),
            inner,
        }
    }
}

impl<S: Service<Message<T>>, T> Service<Message<T>> for RecordService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, message: Message<T>) -> S::Future {
        let entry = format!("{} {}", self.layer.name, message.id());
        self.layer.entries.lock().unwrap().push(entry);
        self.inner.call(message)
    }
}

/// Sleeps for the seconds in the body.
async fn handle(message: Message<u64>) -> Result<(), Failure> {
    match message.body {
        0 => Err(Failure::permanent("empty_order", "nothing was ordered")),
        seconds => {
            sleep(Duration::from_secs(seconds)).await;
            Ok(())
        }
    }
}

fn error_type(outcome: &Outcome, id: &str) -> String {
    let span = outcome.record_span(id).unwrap();
    span.attributes["error.type"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_classified_like_any_other_error() {
    let batch = || Batch::standard("orders").message(1).message(60).message(0);
    let limit = Duration::from_secs(5);
    let consumer = Consumer::builder().layer(TimeoutLayer::new(limit));
    let outcome = batch().run_with(consumer.clone(), handle).await;
    assert_eq!(outcome.failed(), ["message-2", "message-3"]);
    assert_eq!(error_type(&outcome, "message-2"), "_OTHER");
    // The failure of the handler keeps its class on its way through the layer.
    assert_eq!(error_type(&outcome, "message-3"), "empty_order");
    let consumer = consumer.classify(|_: &Elapsed| Class::retry("timeout"));
    let outcome = batch().run_with(consumer, handle).await;
    assert_eq!(error_type(&outcome, "message-2"), "timeout");
    let span = outcome.record_span("message-2").unwrap();
    assert_eq!(span.error.as_deref(), Some("request timed out"));
}

#[tokio::test]
async fn a_concurrency_limit_applies_to_all_messages_together() {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static MAXIMUM: AtomicUsize = AtomicUsize::new(0);

    async fn handle(_: Message<Raw>) -> Result<(), Failure> {
        let running = RUNNING.fetch_add(1, Ordering::Relaxed) + 1;
        MAXIMUM.fetch_max(running, Ordering::Relaxed);
        tokio::task::yield_now().await;
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    let batch = |size| (0..size).fold(Batch::standard("orders"), |batch, _| batch.raw_message("x"));
    let consumer = Consumer::builder().layer(ConcurrencyLimitLayer::new(3));
    assert_eq!(batch(9).run_with(consumer, handle).await.failed().len(), 0);
    assert_eq!(MAXIMUM.load(Ordering::Relaxed), 3);
    assert_eq!(batch(9).run(handle).await.failed().len(), 0);
    assert_eq!(MAXIMUM.load(Ordering::Relaxed), 9);
}

#[tokio::test]
async fn the_first_layer_is_the_outermost() {
    let entries = Arc::default();
    let layer = |name| RecordLayer {
        name,
        entries: Arc::clone(&entries),
    };
    let consumer = Consumer::builder()
        .layer(layer("first"))
        .layer(layer("second"));
    let batch = Batch::standard("orders").message(1);
    let consumer = consumer.classify(|_: &std::io::Error| Class::retry("io"));
    tokio::time::pause();
    assert_eq!(batch.run_with(consumer, handle).await.failed().len(), 0);
    let expected = ["first message-1", "second message-1"];
    assert_eq!(*entries.lock().unwrap(), expected);
    entries.lock().unwrap().clear();
    // A whole stack can be added as one layer.
    let stack = ServiceBuilder::new()
        .layer(layer("outer"))
        .layer(layer("inner"));
    let consumer = Consumer::builder().layer(stack);
    let batch = Batch::standard("orders").message(1);
    assert_eq!(batch.run_with(consumer, handle).await.failed().len(), 0);
    let expected = ["outer message-1", "inner message-1"];
    assert_eq!(*entries.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_layer_runs_inside_the_messages_span_and_sees_the_handlers_failure() {
    let spans = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&spans);
    let check = tower::layer::layer_fn(move |inner: HandlerService<u64>| {
        let seen = Arc::clone(&seen);
        tower::service_fn(move |message| {
            let (mut inner, seen) = (inner.clone(), Arc::clone(&seen));
            async move {
                let error = inner.call(message).await.unwrap_err();
                let failure = error.downcast_ref::<HandlerError>().unwrap().failure();
                let span = opentelemetry::Context::current();
                let span_id = span.span().span_context().span_id().to_string();
                seen.lock().unwrap().push((span_id, failure.error_type()));
                Err::<(), _>(error)
            }
        })
    });
    let consumer = Consumer::builder().layer(check);
    let batch = Batch::standard("orders").message(0);
    let outcome = batch.run_with(consumer, handle).await;
    let span = outcome.record_span("message-1").unwrap();
    let expected = [(span.span_id.clone(), "empty_order")];
    assert_eq!(*spans.lock().unwrap(), expected);
}
