//! Spans of the `tracing` macros under OpenTelemetry spans. All tests share the global tracer
//! provider of the process and find their own spans by trace id. The spans have a program's target,
//! because this crate's own spans are left out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use opentelemetry::trace::{
    FutureExt as _, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId,
    TraceState,
};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use tracing::{Instrument as _, info_span, instrument};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

mod errors;

static ENDED: Mutex<Vec<SpanData>> = Mutex::new(Vec::new());
static INSTALL: Once = Once::new();
static NEXT_TRACE: AtomicU64 = AtomicU64::new(1);

#[derive(Debug)]
struct Collect;

impl SpanProcessor for Collect {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        ENDED.lock().unwrap().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Returns the context of a new record, with a span that `tracing` did not create, in a new trace.
fn record() -> (Context, SpanContext) {
    INSTALL.call_once(|| {
        let provider = SdkTracerProvider::builder().with_span_processor(Collect);
        global::set_tracer_provider(provider.build());
    });
    let trace = NEXT_TRACE.fetch_add(1, Ordering::Relaxed);
    let span = SpanContext::new(
        TraceId::from(u128::from(trace)),
        SpanId::from(trace),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    (Context::new().with_remote_span_context(span.clone()), span)
}

/// Returns the ended spans of the record's trace, in the order in which they ended.
fn ended(record: &SpanContext) -> Vec<SpanData> {
    let ended = ENDED.lock().unwrap();
    let mut ended = ended.clone();
    ended.retain(|span| span.span_context.trace_id() == record.trace_id());
    ended
}

fn subscriber(filter: &str) -> impl Subscriber + Send + Sync {
    let filter: Targets = filter.parse().unwrap();
    tracing_subscriber::registry().with(default_layer(filter))
}

#[instrument(target = "orders", skip_all, fields(step = name))]
async fn outer(name: &'static str) {
    tokio::task::yield_now().await;
    inner(name).await;
    tokio::task::yield_now().await;
}

#[instrument(target = "orders", skip_all, fields(step = name))]
async fn inner(name: &'static str) {
    let before = active();
    tokio::task::yield_now().await;
    assert_eq!(active(), before, "{name}");
}

fn active() -> SpanContext {
    Context::map_current(|context| context.span().span_context().clone())
}

#[tokio::test]
async fn concurrent_instrumented_functions_nest_under_their_own_record() {
    let _subscriber = tracing::subscriber::set_default(subscriber("info"));
    let ((left, left_span), (right, right_span)) = (record(), record());
    tokio::join!(
        outer("left").with_context(left),
        outer("right").with_context(right)
    );
    assert!(!active().is_valid());
    for (record, step) in [(left_span, "left"), (right_span, "right")] {
        let spans = ended(&record);
        let [inner, outer] = &spans[..] else {
            panic!("expected two spans of {step}: {spans:?}");
        };
        assert_eq!(
            (inner.name.as_ref(), outer.name.as_ref()),
            ("inner", "outer")
        );
        assert_eq!(outer.parent_span_id, record.span_id());
        assert_eq!(inner.parent_span_id, outer.span_context.span_id());
        for span in [inner, outer] {
            let attributes: Vec<String> = span
                .attributes
                .iter()
                .map(|attribute| format!("{}={}", attribute.key, attribute.value))
                .collect();
            assert_eq!(attributes, [format!("step={step}")]);
            assert!(span.events.is_empty());
        }
    }
}

/// Holding the guard of an entered span across an await is a misuse of `tracing`; its effect must
/// stay within its record.
#[tokio::test]
async fn a_span_left_entered_does_not_become_the_parent_of_another_record() {
    async fn wrong() {
        let _entered = info_span!(target: "orders", "held").entered();
        tokio::task::yield_now().await;
    }
    async fn right() {
        tokio::task::yield_now().await;
        async {}
            .instrument(info_span!(target: "orders", "right"))
            .await;
    }
    let _subscriber = tracing::subscriber::set_default(subscriber("info"));
    let ((left, left_span), (right_context, right_span)) = (record(), record());
    tokio::join!(
        wrong().with_context(left),
        right().with_context(right_context)
    );
    let spans = ended(&right_span);
    assert_eq!(spans[0].parent_span_id, right_span.span_id());
    assert_eq!(ended(&left_span)[0].name, "held");
}

#[test]
fn tracing_and_opentelemetry_spans_nest_in_both_directions() {
    let _subscriber = tracing::subscriber::set_default(subscriber("info"));
    let (context, record) = record();
    let _active = context.attach();
    let span = info_span!(target: "orders", "GET", otel.kind = "client");
    span.in_scope(|| drop(global::tracer("handler").start("inside")));
    drop(span);
    let spans = ended(&record);
    assert_eq!(spans[0].name, "inside");
    assert_eq!(spans[0].parent_span_id, spans[1].span_context.span_id());
    assert_eq!(spans[1].span_kind, SpanKind::Client);
    assert_eq!(spans[1].instrumentation_scope.name(), SCOPE);
}

#[test]
fn spans_of_libraries_and_finer_levels_are_omitted_and_a_strict_filter_keeps_the_others() {
    let names = |filter: &str| {
        let _subscriber = tracing::subscriber::set_default(subscriber(filter));
        let (context, record) = record();
        let _active = context.attach();
        drop(info_span!(target: "orders", "info"));
        drop(tracing::debug_span!(target: "orders::store", "debug"));
        drop(tracing::trace_span!(target: "orders::store", "trace"));
        drop(info_span!(target: "hyper::proto", "library"));
        drop(info_span!(target: "aws_sdk_sqs::operation", "library"));
        let spans = ended(&record);
        let names: Vec<String> = spans.iter().map(|span| span.name.to_string()).collect();
        names.join(" ")
    };
    assert_eq!(names("info"), "info");
    assert_eq!(names("warn"), "info");
    assert_eq!(names("warn,orders::store=debug"), "info debug");
    assert_eq!(names("trace"), "info debug trace");
}

#[test]
fn the_public_layer_creates_spans_in_a_programs_own_subscriber() {
    let subscriber = tracing_subscriber::registry().with(tracing_layer());
    let _subscriber = tracing::subscriber::set_default(subscriber);
    let (context, record) = record();
    let _active = context.attach();
    let span = tracing::debug_span!(target: "orders", "own");
    span.in_scope(|| tracing::error!(target: "orders", "a line, and no event of the span"));
    drop(span);
    drop(info_span!(target: "tower::buffer", "library"));
    let spans = ended(&record);
    assert_eq!((spans.len(), spans[0].name.as_ref()), (1, "own"));
    assert!(spans[0].events.is_empty());
}

#[test]
fn no_spans_are_recorded_in_an_unsampled_record() {
    let _subscriber = tracing::subscriber::set_default(subscriber("info"));
    let (_, sampled) = record();
    let unsampled = SpanContext::new(
        sampled.trace_id(),
        sampled.span_id(),
        TraceFlags::default(),
        true,
        TraceState::NONE,
    );
    let _active = Context::new().with_remote_span_context(unsampled).attach();
    info_span!(target: "orders", "inside")
        .in_scope(|| assert_eq!(active().trace_id(), sampled.trace_id()));
    assert!(ended(&sampled).is_empty());
}

#[test]
fn the_innermost_span_is_active_during_an_event() {
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<SpanContext>>>);

    impl<S: Subscriber> Layer<S> for Seen {
        fn on_event(&self, _: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            // The layer for log lines reads the ids in the same way.
            self.0.lock().unwrap().push(active());
        }
    }
    let seen = Seen::default();
    let _subscriber = tracing::subscriber::set_default(subscriber("info").with(seen.clone()));
    let (context, record) = record();
    let _active = context.attach();
    info_span!(target: "orders", "inside").in_scope(|| tracing::info!("inside"));
    tracing::info!("outside");
    let seen = seen.0.lock().unwrap();
    assert_eq!(seen[0], ended(&record)[0].span_context);
    assert_eq!(seen[1], record);
}
