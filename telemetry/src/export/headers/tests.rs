use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use super::fetched::{RETRY_INTERVAL, VersionedHeaders};
use super::*;
use crate::logs::{Capture, captured};

/// A source that returns scripted results and counts the fetches. It hangs when the script ends.
#[derive(Clone, Default)]
pub(crate) struct ScriptedSource {
    script: Arc<Mutex<VecDeque<Result<&'static str, &'static str>>>>,
    fetches: Arc<Mutex<usize>>,
}

impl fmt::Debug for ScriptedSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ScriptedSource")
    }
}

impl ScriptedSource {
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

impl HeaderSource for ScriptedSource {
    fn fetch(&self) -> HeadersFuture<'_> {
        Box::pin(async {
            *self.fetches.lock().unwrap() += 1;
            let result = self.script.lock().unwrap().pop_front();
            tokio::task::yield_now().await;
            match result {
                Some(result) => Ok(parse_headers(result?)?),
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
fn the_error_for_invalid_headers_has_the_position_but_not_the_text() {
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
async fn headers_are_fetched_once_at_the_start_while_the_key_is_valid() {
    let source = ScriptedSource::new(&[Ok("authorization=one")]);
    let headers = source.fetched_headers();
    headers.fetch_first().await;
    let first = headers.newer_than(0, soon()).await;
    assert_eq!(keys(first).as_deref(), Some("one"));
    assert!(headers.newer_than(1, soon()).await.is_none());
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn three_signals_with_a_rejected_key_share_one_fetch() {
    let source = ScriptedSource::new(&[Ok("authorization=one"), Ok("authorization=two")]);
    let headers = source.fetched_headers();
    headers.fetch_first().await;
    let renew = || headers.refetch(1, soon());
    let (traces, metrics, logs) = tokio::join!(renew(), renew(), renew());
    for renewed in [traces, metrics, logs] {
        assert_eq!(keys(renewed).as_deref(), Some("two"));
    }
    assert_eq!(source.fetches(), 2);
    // Rejected again immediately: the headers are not fetched a third time within a minute.
    assert!(headers.refetch(2, soon()).await.is_none());
    assert_eq!(source.fetches(), 2);
}

#[tokio::test]
async fn an_unchanged_key_is_not_sent_again() {
    let source = ScriptedSource::new(&[Ok("authorization=one"), Ok("authorization=one")]);
    let headers = source.fetched_headers();
    headers.fetch_first().await;
    assert!(headers.refetch(1, soon()).await.is_none());
    assert_eq!(source.fetches(), 2);
}

#[tokio::test]
async fn a_failed_fetch_logs_one_line_and_is_retried_after_a_pause() {
    let capture = Capture::start();
    let source = ScriptedSource::new(&[Err("access denied"), Ok("authorization=one")]);
    let headers = source.fetched_headers();
    headers.fetch_first().await;
    assert!(headers.newer_than(0, soon()).await.is_none());
    assert_eq!(source.fetches(), 1, "fetched during the pause");
    headers.advance(RETRY_INTERVAL);
    let renewed = headers.newer_than(0, soon()).await;
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
async fn a_hanging_fetch_takes_half_of_the_flush_and_logs_one_line() {
    let capture = Capture::start();
    let headers = ScriptedSource::new(&[]).fetched_headers();
    let start = std::time::Instant::now();
    let deadline = Instant::now() + Duration::from_millis(200);
    let newer = || headers.newer_than(0, deadline);
    let (first, second) = tokio::join!(newer(), newer());
    assert!(first.is_none() && second.is_none());
    assert!(start.elapsed() < Duration::from_millis(180));
    let lines = capture.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0]["message"].as_str().unwrap().contains("timed out"));
}

#[tokio::test]
async fn debug_output_contains_no_key() {
    let headers = ScriptedSource::new(&[Ok("authorization=top-secret")]).fetched_headers();
    headers.fetch_first().await;
    let output = format!(
        "{headers:?} {:?}",
        headers.newer_than(0, soon()).await.unwrap().headers
    );
    assert!(
        output.contains("ScriptedSource") && output.contains("authorization"),
        "{output}"
    );
    assert!(!output.contains("top-secret"), "{output}");
}

/// Returns true if a source was opened, and the lines that were logged.
fn open_with(
    variables: &[(&'static str, &'static str)],
    open_source: Option<OpenHeaderSource>,
) -> (bool, Vec<serde_json::Value>) {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    let (config, problems) =
        TelemetryConfig::from_lookup(&|name| variables.get(name).map(|value| (*value).to_owned()));
    assert!(problems.is_empty(), "{problems:?}");
    let mut is_open = false;
    let lines = captured(|| is_open = open(&config, open_source).is_some());
    (is_open, lines)
}

#[test]
fn an_invalid_reference_logs_one_line() {
    let named = [(HEADERS_SECRET, "arn:x")];
    let (is_open, lines) = open_with(&named, Some(|_| Ok(Box::new(ScriptedSource::default()))));
    assert!(is_open && lines.is_empty());
    for (open_source, expected) in [
        (None, "the feature `secrets`"),
        (
            Some((|_| Err("no such thing".into())) as OpenHeaderSource),
            "no such thing",
        ),
    ] {
        let (is_open, lines) = open_with(&named, open_source);
        assert!(!is_open && lines.len() == 1, "{lines:?}");
        assert_eq!(lines[0]["variable"], HEADERS_SECRET);
        let message = lines[0]["message"].as_str().unwrap();
        assert!(
            message.contains(HEADERS_SECRET) && message.contains(expected),
            "{message}"
        );
    }
    assert_eq!(open_with(&[], None), (false, Vec::new()));
}

#[test]
fn without_an_export_no_source_is_opened() {
    let variables = [(HEADERS_SECRET, "arn:x"), ("OTEL_SDK_DISABLED", "true")];
    assert_eq!(open_with(&variables, None), (false, Vec::new()));
}
