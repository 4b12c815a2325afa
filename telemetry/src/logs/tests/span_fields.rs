//! Fields of the `tracing` spans around an event, on its line. The spans have a program's target,
//! because this crate's own spans do not add fields.

use tracing::{Instrument as _, Span, debug_span, field, info, info_span, warn};

use super::*;
use crate::logs::tests::lines;
use crate::with_message_id;

fn log_in_message<T>(id: &str, log: impl FnOnce() -> T) -> T {
    let _active = with_message_id(&Context::new(), id.into()).attach();
    log()
}

#[test]
fn a_line_has_the_fields_of_all_spans_around_it() {
    let line = logged(|| {
        let _outer =
            info_span!(target: "orders", "order", order_id = 7, customer = "ada").entered();
        let _inner =
            info_span!(target: "orders", "reserve", article = ?Some("pen"), share = 0.5, ok = true)
                .entered();
        info!(count = 2, "reserved");
    });
    assert_eq!(
        (&line["order_id"], &line["customer"]),
        (&7.into(), &"ada".into())
    );
    assert_eq!(line["article"], "Some(\"pen\")");
    assert_eq!((&line["share"], &line["ok"]), (&0.5.into(), &true.into()));
    assert_eq!(
        (&line["count"], &line["message"]),
        (&2.into(), &"reserved".into())
    );
}

#[test]
fn text_lines_have_the_fields_of_spans_after_those_of_the_event() {
    let lines = lines(LogFormat::Text, || {
        let _span =
            info_span!(target: "orders", "order", order_id = 7, note = "two words").entered();
        log_in_message("m-1", || info!(target: "orders", count = 2, "reserved"));
    });
    let expected = " INFO orders: reserved count=2 order_id=7 note=\"two words\" messageId=m-1";
    assert!(lines[0].ends_with(expected), "{lines:?}");
}

#[test]
fn a_value_that_is_recorded_later_is_on_the_lines_after_it() {
    let lines = captured(|| {
        let span = info_span!(target: "orders", "order", order_id = field::Empty, state = "new");
        let _entered = span.enter();
        info!("before");
        span.record("order_id", 7);
        span.record("state", "paid");
        info!("after");
    });
    assert_eq!(lines[0].get("order_id"), None);
    assert_eq!(lines[0]["state"], "new");
    assert_eq!(
        (&lines[1]["order_id"], &lines[1]["state"]),
        (&7.into(), &"paid".into())
    );
}

/// Checks the text, because a JSON parser keeps only one of two equal keys.
#[test]
fn every_field_keeps_its_value_and_all_keys_are_unique() {
    let text = lines(LogFormat::Json, || {
        let _outer =
            info_span!(target: "orders", "outer", id = 1, message = "outer's", level = 2).entered();
        let _middle = info_span!(target: "orders", "middle", id = 3, span.id = 4).entered();
        let _inner = info_span!(target: "orders", "inner", id = 5, twice = 6, twice = 7).entered();
        info!(
            id = 8,
            level = 9,
            field.level = 10,
            once = 11,
            once = 12,
            "event's"
        );
    });
    let line: serde_json::Map<String, Value> = serde_json::from_str(&text[0]).unwrap();
    for (key, value) in [
        ("id", 8.into()),
        ("message", "event's".into()),
        ("level", "INFO".into()),
        ("field.field.level", 9.into()),
        ("field.level", 10.into()),
        ("once", 11.into()),
        ("field.once", 12.into()),
        ("span.id", 5.into()),
        ("twice", 6.into()),
        ("span.twice", 7.into()),
        ("span.span.id", 3.into()),
        ("span.span.span.id", 4.into()),
        ("span.span.span.span.id", 1.into()),
        ("span.message", Value::from("outer's")),
        ("span.level", 2.into()),
    ] {
        assert_eq!(line[key], value, "{key}");
        assert_eq!(text[0].matches(&format!("\"{key}\":")).count(), 1, "{key}");
    }
    // The other two keys are those of the time and the target.
    assert_eq!(line.len(), 17, "{text:?}");
}

#[test]
fn an_empty_field_of_the_event_does_not_hide_that_of_the_span() {
    let line = logged(|| {
        let _span = info_span!(target: "orders", "order", order_id = 7).entered();
        info!(order_id = None::<u64>, "reserved");
    });
    assert_eq!(line["order_id"], 7);
}

#[test]
fn an_event_has_the_fields_of_its_explicit_parent() {
    let lines = captured(|| {
        let other = info_span!(target: "orders", "other", order_id = 1);
        let _entered = info_span!(target: "orders", "entered", order_id = 2).entered();
        info!(parent: &other, "elsewhere");
        info!(parent: None, "nowhere");
    });
    assert_eq!(lines[0]["order_id"], 1);
    assert_eq!(lines[1].get("order_id"), None);
}

#[test]
fn long_text_in_a_span_field_is_truncated() {
    let long = "€".repeat(5000);
    let line = logged(|| {
        let _span =
            info_span!(target: "orders", "order", text = long, made = ?long, bytes = long.as_bytes()).entered();
        info!("inside");
    });
    for key in ["text", "made", "bytes"] {
        let value = line[key].as_str().unwrap();
        assert!(
            (4000..9000).contains(&value.len()),
            "{key}: {}",
            value.len()
        );
    }
    assert!(line["text"].as_str().unwrap().ends_with("€…"));
}

async fn handle(order_id: u64) {
    async {
        tokio::task::yield_now().await;
        info!("inside");
        tokio::task::yield_now().await;
        Span::current().record("state", order_id);
        info!("later");
    }
    .instrument(info_span!(target: "orders", "handle", order_id, state = field::Empty))
    .await;
}

#[tokio::test]
async fn concurrent_messages_on_one_thread_keep_their_own_fields_and_ids() {
    let capture = Capture::start();
    let message = |id: &str| with_message_id(&Context::new(), id.into());
    tokio::join!(
        handle(1).with_context(message("m-1")),
        handle(2).with_context(message("m-2"))
    );
    let lines = capture.lines();
    assert_eq!(lines.len(), 4);
    for line in lines {
        let id = format!("m-{}", line["order_id"]);
        assert_eq!(line["messageId"], *id);
        if line["message"] == "later" {
            assert_eq!(line["state"], line["order_id"]);
        }
    }
}

/// Holding the guard of an entered span across an await is a misuse of `tracing`; its effect must
/// stay within its message.
#[tokio::test]
async fn a_span_left_entered_does_not_affect_the_lines_of_another_message() {
    async fn wrong() {
        let _entered = info_span!(target: "orders", "held", order_id = 1).entered();
        tokio::task::yield_now().await;
    }
    async fn right() {
        tokio::task::yield_now().await;
        warn!("outside");
        let inside = async { warn!("inside") };
        inside
            .instrument(info_span!(target: "orders", "right", article = 2))
            .await;
    }
    let capture = Capture::start();
    let message = |id: &str| with_message_id(&Context::new(), id.into());
    tokio::join!(
        wrong().with_context(message("m-1")),
        right().with_context(message("m-2"))
    );
    let lines = capture.lines();
    assert!(
        lines.iter().all(|line| line.get("order_id").is_none()),
        "{lines:?}"
    );
    assert_eq!(lines[1]["article"], 2);
}

#[test]
fn a_debug_implementation_may_log() {
    struct Busy;
    impl std::fmt::Debug for Busy {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            info!("made");
            formatter.write_str("busy")
        }
    }
    let lines = captured(|| {
        let span = info_span!(target: "orders", "order", who = ?Busy, later = field::Empty);
        let _entered = span.enter();
        span.record("later", field::debug(Busy));
        info!(own = ?Busy, "line");
    });
    let line = lines.iter().find(|line| line["message"] == "line").unwrap();
    assert_eq!(
        (&line["who"], &line["later"], &line["own"]),
        (&"busy".into(), &"busy".into(), &"busy".into())
    );
}

#[test]
fn a_strict_filter_keeps_the_fields_of_program_spans_and_omits_those_of_libraries() {
    let _second = Dispatch::new(NoSubscriber::new());
    let output = Output::captured();
    let events = LogLayer::new(LogFormat::Json, output.clone(), None);
    let filter = filter::log_filter("warn,finer=debug".parse().unwrap());
    let subscriber = tracing_subscriber::registry().with(filter).with(events);
    tracing::subscriber::with_default(subscriber, || {
        let _info = info_span!(target: "orders", "info", a = 1).entered();
        let _debug = debug_span!(target: "orders", "debug", b = 2).entered();
        let _finer = debug_span!(target: "finer", "finer", c = 3).entered();
        let _library = info_span!(target: "lambda_runtime::layers", "invoke", d = 4).entered();
        info!(target: "orders", "not logged");
        warn!(target: "orders", "logged");
    });
    let lines = output.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].ends_with(",\"message\":\"logged\",\"c\":3,\"a\":1}"),
        "{lines:?}"
    );
}
