//! What people write into variables: everything wrong at once costs a line each, and no message.

use baton_test_support::{Answer, Record, TestCollector, event};
use serde_json::{Value, json};

use crate::support::functions::{OBEDIENT, TIMEOUT, start_with};

/// With one value that is no such thing for each variable that can have one.
const WRONG: &[(&str, &str)] = &[
    ("OTEL_SDK_DISABLED", "perhaps"),
    ("OTEL_TRACES_EXPORTER", "zipkin"),
    ("OTEL_LOGS_EXPORTER", "zipkin"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ("OTEL_EXPORTER_OTLP_INSECURE", "1"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "Bearer SECRET"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
    (
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "sometimes",
    ),
    ("OTEL_TRACES_SAMPLER", "random"),
    ("OTEL_PROPAGATORS", "b3"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
    ("OTEL_BSP_SCHEDULE_DELAY", "5s"),
    ("OTEL_BLRP_MAX_QUEUE_SIZE", "0"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "never"),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", "many"),
    ("OTEL_RESOURCE_ATTRIBUTES", "team"),
    ("AWS_LAMBDA_LOG_FORMAT", "xml"),
    ("RUST_LOG", "loud"),
];

/// The variables that the function has complained of, after a batch in which all went well; and all
/// of its lines.
async fn complaints(
    collector: &TestCollector,
    variables: &[(&str, &str)],
) -> (Vec<String>, String) {
    let lambda = start_with(OBEDIENT, collector, |function| {
        let set = variables.iter();
        set.fold(function, |function, (name, value)| {
            function.variable(name, value)
        })
    })
    .await;
    let records = [Record::new(1), Record::new(2)];
    let invocation = lambda.invoke(event(&records), TIMEOUT).await.unwrap();
    assert_eq!(invocation.response, Ok(json!({"batchItemFailures": []})));
    let lines = lambda.stdout();
    let parsed = lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok());
    let complaints = parsed.filter_map(|line: Value| Some(line["variable"].as_str()?.to_owned()));
    (complaints.collect(), lines.join("\n"))
}

#[tokio::test]
async fn what_is_wrong_is_told_once_and_the_spans_arrive() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let (mut complaints, lines) = complaints(&collector, WRONG).await;
    complaints.sort_unstable();
    let mut expected: Vec<_> = WRONG.iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    assert_eq!(complaints, expected);
    assert!(!lines.contains("SECRET"), "{lines}");
    let spans = collector.spans().unwrap();
    assert!(spans.iter().any(|span| span.name.starts_with("process ")));
}

#[tokio::test]
async fn where_it_is_not_certain_to_whom_nothing_is_sent() {
    let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let proxy = "HTTPS_PROXY";
    for (wrong, variables) in [
        (endpoint, &[(endpoint, "https://user:SECRET@collector")][..]),
        (
            proxy,
            &[
                (endpoint, "https://collector.example"),
                (proxy, "https://user:SECRET@proxy.example"),
            ],
        ),
    ] {
        let collector = TestCollector::start(Answer::Ok).await.unwrap();
        let (complaints, lines) = complaints(&collector, variables).await;
        assert_eq!(complaints, [wrong], "{lines}");
        assert!(!lines.contains("SECRET"), "{lines}");
        assert!(collector.spans().unwrap().is_empty(), "{variables:?}");
    }
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_is_no_reason_to_trust_another() {
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let secure = collector.endpoint().replace("http://", "https://");
    let authority = "OTEL_EXPORTER_OTLP_CERTIFICATE";
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", secure.as_str()),
        (authority, "/missing/authority.pem"),
    ];
    let (complaints, lines) = complaints(&collector, &variables).await;
    assert_eq!(complaints, [authority], "{lines}");
    assert!(
        lines.contains("nothing is exported for traces and metrics"),
        "{lines}"
    );
}
