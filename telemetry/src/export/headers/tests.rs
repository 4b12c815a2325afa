use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use super::fetched::{RETRY_INTERVAL, VersionedHeaders};
use super::*;
use crate::logs::{Capture, captured};

/// Answers by a script, after a while each, and counts.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    script: Arc<Mutex<VecDeque<Result<&'static str, &'static str>>>>,
    fetches: Arc<Mutex<usize>>,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Scripted")
    }
}

impl Scripted {
    pub(crate) fn new(script: &[Result<&'static str, &'static str>]) -> Self {
        let scripted = Self::default();
        scripted.script.lock().unwrap().extend(script);
        scripted
    }

    pub(crate) fn fetched_headers(&self) -> Arc<FetchedHeaders> {
        Arc::new(FetchedHeaders::new(Box::new(self.clone())))
    }

    pub(crate) fn fetches(&self) -> usize {
        *self.fetches.lock().unwrap()
    }
}

impl HeaderSource for Scripted {
    fn fetch(&self) -> HeadersFuture<'_> {
        Box::pin(async {
            *self.fetches.lock().unwrap() += 1;
            let answer = self.script.lock().unwrap().pop_front();
            tokio::task::yield_now().await;
            match answer {
                Some(answer) => Ok(parse_headers(answer?)?),
                None => std::future::pending().await,
            }
        })
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(100)
}

fn keys(renewed: Option<VersionedHeaders>) -> Option<String> {
    let headers = renewed?.headers;
    Some(headers["authorization"].to_str().unwrap().to_owned())
}

#[test]
fn headers_are_read_from_a_list_and_from_json() {
    for text in [
        "authorization=Bearer KEY,x-scope=a",
        " authorization=Bearer%20KEY , x-scope = a\n",
        r#"{"Authorization": "Bearer KEY", "x-scope": "a"}"#,
    ] {
        let headers = parse_headers(text).unwrap();
        assert_eq!(headers.len(), 2, "{text}");
        assert_eq!(headers["authorization"], "Bearer KEY", "{text}");
        assert!(headers.values().all(HeaderValue::is_sensitive), "{text}");
    }
    let plain = parse_headers(r#"{"x": "100%25"}"#).unwrap();
    assert_eq!(plain["x"], "100%25");
}

#[test]
fn what_is_no_headers_is_refused_by_position_and_not_repeated() {
    for (text, expected) in [
        ("", InvalidHeaders::Empty),
        ("{}", InvalidHeaders::Empty),
        ("QUILL", InvalidHeaders::Entry(1)),
        ("a=b,QUILL", InvalidHeaders::Entry(2)),
        ("a=b\nQUILL", InvalidHeaders::Entry(1)),
        (r#"{"a": "QUILL""#, InvalidHeaders::NotJson),
        (r#"{"a": "QUILL"} x"#, InvalidHeaders::NotJson),
        (
            r#"{"a": "b", "k": {"QUILL": 1}}"#,
            InvalidHeaders::Member(2),
        ),
        (r#"{"QUILL QUILL": "b"}"#, InvalidHeaders::Member(1)),
    ] {
        let error = parse_headers(text).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(!format!("{error} {error:?}").contains("QUILL"));
    }
}

#[tokio::test]
async fn the_start_fetches_and_nobody_else_does_while_the_key_is_good() {
    let source = Scripted::new(&[Ok("authorization=one")]);
    let held = source.fetched_headers();
    held.fetch_first().await;
    let first = held.newer_than(0, soon()).await;
    assert_eq!(keys(first).as_deref(), Some("one"));
    assert!(held.newer_than(1, soon()).await.is_none());
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn three_signals_with_a_refused_key_cost_one_fetch() {
    let source = Scripted::new(&[Ok("authorization=one"), Ok("authorization=two")]);
    let held = source.fetched_headers();
    held.fetch_first().await;
    let renew = || held.refetch(1, soon());
    let (traces, metrics, logs) = tokio::join!(renew(), renew(), renew());
    for renewed in [traces, metrics, logs] {
        assert_eq!(keys(renewed).as_deref(), Some("two"));
    }
    assert_eq!(source.fetches(), 2);
    // Refused again at once: the same key is not asked for a third time within a minute.
    assert!(held.refetch(2, soon()).await.is_none());
    assert_eq!(source.fetches(), 2);
}

#[tokio::test]
async fn the_same_key_again_is_no_reason_to_send_again() {
    let source = Scripted::new(&[Ok("authorization=one"), Ok("authorization=one")]);
    let held = source.fetched_headers();
    held.fetch_first().await;
    assert!(held.refetch(1, soon()).await.is_none());
    assert_eq!(source.fetches(), 2);
}

#[tokio::test]
async fn a_failed_fetch_is_one_line_and_is_tried_again_after_a_pause() {
    let capture = Capture::start();
    let source = Scripted::new(&[Err("access denied"), Ok("authorization=one")]);
    let held = source.fetched_headers();
    held.fetch_first().await;
    assert!(held.newer_than(0, soon()).await.is_none());
    assert_eq!(source.fetches(), 1, "it rests");
    held.advance(RETRY_INTERVAL);
    let renewed = held.newer_than(0, soon()).await;
    assert_eq!(keys(renewed).as_deref(), Some("one"));
    let lines = capture.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["variable"], HEADERS_SECRET);
    assert_eq!(
        lines[0]["message"],
        "OTEL_EXPORTER_OTLP_HEADERS_SECRET: the headers could not be fetched: access denied"
    );
    assert_eq!(lines[1]["header_names"], "authorization");
}

#[tokio::test]
async fn a_fetch_that_hangs_leaves_half_of_the_flush_and_says_so_once() {
    let capture = Capture::start();
    let held = Scripted::new(&[]).fetched_headers();
    let began = std::time::Instant::now();
    let deadline = Instant::now() + Duration::from_millis(200);
    let newer = || held.newer_than(0, deadline);
    let (first, second) = tokio::join!(newer(), newer());
    assert!(first.is_none() && second.is_none());
    assert!(began.elapsed() < Duration::from_millis(180));
    let lines = capture.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0]["message"].as_str().unwrap().contains("timed out"));
}

#[tokio::test]
async fn a_key_is_in_no_debug_output() {
    let held = Scripted::new(&[Ok("authorization=top-secret")]).fetched_headers();
    held.fetch_first().await;
    let shown = format!(
        "{held:?} {:?}",
        held.newer_than(0, soon()).await.unwrap().headers
    );
    assert!(
        shown.contains("Scripted") && shown.contains("authorization"),
        "{shown}"
    );
    assert!(!shown.contains("top-secret"), "{shown}");
}

/// Returns true if a source was opened, and the lines that were logged.
fn opened(
    variables: &[(&'static str, &'static str)],
    how: Option<OpenHeaderSource>,
) -> (bool, Vec<serde_json::Value>) {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    let (config, problems) =
        Config::from_lookup(&|name| variables.get(name).map(|value| (*value).to_owned()));
    assert!(problems.is_empty(), "{problems:?}");
    let mut is_open = false;
    let lines = captured(|| is_open = open(&config, how).is_some());
    (is_open, lines)
}

#[test]
fn a_reference_that_cannot_be_used_is_one_line() {
    let named = [(HEADERS_SECRET, "arn:x")];
    let (is_open, lines) = opened(&named, Some(|_| Ok(Box::new(Scripted::default()))));
    assert!(is_open && lines.is_empty());
    for (how, expected) in [
        (None, "the feature `secrets`"),
        (
            Some((|_| Err("no such thing".into())) as OpenHeaderSource),
            "no such thing",
        ),
    ] {
        let (is_open, lines) = opened(&named, how);
        assert!(!is_open && lines.len() == 1, "{lines:?}");
        assert_eq!(lines[0]["variable"], HEADERS_SECRET);
        let message = lines[0]["message"].as_str().unwrap();
        assert!(
            message.contains(HEADERS_SECRET) && message.contains(expected),
            "{message}"
        );
    }
    assert_eq!(opened(&[], None), (false, Vec::new()));
}

#[test]
fn where_nothing_goes_to_a_collector_nothing_is_fetched() {
    let variables = [(HEADERS_SECRET, "arn:x"), ("OTEL_SDK_DISABLED", "true")];
    assert_eq!(opened(&variables, None), (false, Vec::new()));
}
