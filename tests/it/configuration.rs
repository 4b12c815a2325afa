//! Invalid environment variables: each is logged on one line, and messages are handled all the
//! same.

use baton_test_support::{CollectorResponse, Record, TestCollector, event};
use serde_json::{Value, json};

use crate::support::functions::{SCRIPTED, TIMEOUT, start_with};

/// An invalid value for each variable that can have one.
const INVALID: &[(&str, &str)] = &[
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

/// Runs one successful batch. Returns the variables that the function logged as invalid, and its
/// whole log.
async fn reported_variables(
    collector: &TestCollector,
    variables: &[(&str, &str)],
) -> (Vec<String>, String) {
    let lambda = start_with(SCRIPTED, collector, |function| {
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
    let reported = parsed.filter_map(|line: Value| Some(line["variable"].as_str()?.to_owned()));
    (reported.collect(), lines.join("\n"))
}

#[tokio::test]
async fn each_invalid_variable_is_logged_once_and_the_spans_arrive() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let (mut reported, lines) = reported_variables(&collector, INVALID).await;
    reported.sort_unstable();
    let mut expected: Vec<_> = INVALID.iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    assert_eq!(reported, expected);
    assert!(!lines.contains("SECRET"), "{lines}");
    let spans = collector.spans().unwrap();
    assert!(spans.iter().any(|span| span.name.starts_with("process ")));
}

#[tokio::test]
async fn nothing_is_sent_to_an_ambiguous_endpoint() {
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
        let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
        let (reported, lines) = reported_variables(&collector, variables).await;
        assert_eq!(reported, [wrong], "{lines}");
        assert!(!lines.contains("SECRET"), "{lines}");
        assert!(collector.spans().unwrap().is_empty(), "{variables:?}");
    }
}

#[tokio::test]
async fn nothing_is_sent_if_the_certificate_authority_cannot_be_read() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let secure = collector.endpoint().replace("http://", "https://");
    let authority = "OTEL_EXPORTER_OTLP_CERTIFICATE";
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", secure.as_str()),
        (authority, "/missing/authority.pem"),
    ];
    let (reported, lines) = reported_variables(&collector, &variables).await;
    assert_eq!(reported, [authority], "{lines}");
    assert!(
        lines.contains("export is disabled for traces and metrics"),
        "{lines}"
    );
}
