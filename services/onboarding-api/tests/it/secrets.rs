use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::{Json, Router};
use baton_test_support::{Answer, Behaviour, FakeSqs, TestCollector};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::collector::{authorizations, measurement_counts};
use crate::support::process::Process;
use crate::support::{VALID, client};

const VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS_SECRET";
const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:otlp-AbCdEf";
const PARAMETER: &str = "arn:aws:ssm:eu-west-1:123456789012:parameter/otlp/key";

/// Parts of the two keys that nothing may ever show.
const OLD: &str = "old-quill";
const NEW: &str = "new-quill";

/// Secrets Manager and SSM in one: answers by a script, and the last answer for ever.
#[derive(Clone)]
struct Store {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<(StatusCode, Value)>>,
    targets: Mutex<Vec<String>>,
}

impl Store {
    async fn start(script: impl Into<VecDeque<(StatusCode, Value)>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(script.into()),
            targets: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared }
    }

    fn targets(&self) -> Vec<String> {
        self.shared.targets.lock().unwrap().clone()
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    let target = headers["x-amz-target"].to_str().unwrap().to_owned();
    shared.targets.lock().unwrap().push(target);
    let mut script = shared.script.lock().unwrap();
    let (status, answer) = match script.len() {
        1 => script[0].clone(),
        _ => script.pop_front().unwrap(),
    };
    (status, Json(answer))
}

/// What the process writes that takes its headers from the store, answers one request, and ends.
async fn one_request(
    store: &Store,
    collector: &TestCollector,
    arn: &str,
    spill: &str,
) -> Vec<Value> {
    let sqs = FakeSqs::start().await.unwrap();
    let otlp = collector.endpoint();
    let store = format!("http://{}", store.address);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*otlp),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer variable",
        ),
        (VARIABLE, arn),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &store),
        ("AWS_ENDPOINT_URL_SSM", &store),
        ("BATON_SPILL", spill),
        ("RUST_LOG", "trace"),
    ];
    let process = Process::start(&sqs, &variables).await;
    let answer = client::request(
        process.address,
        "POST",
        "/onboarding",
        &[client::JSON],
        VALID,
    );
    assert_eq!(answer.await.status, 202);
    process.terminator().await;
    process.into_log().await
}

fn about_the_variable(log: &[Value]) -> Vec<&str> {
    let named = log.iter().filter(|line| line["variable"] == VARIABLE);
    named
        .map(|line| line["message"].as_str().unwrap())
        .collect()
}

fn assert_shows_no_key(log: &[Value]) {
    for line in log {
        let line = line.to_string();
        assert!(!line.contains(OLD) && !line.contains(NEW), "{line}");
    }
}

#[tokio::test]
async fn a_renewed_key_is_fetched_from_either_service_and_shown_nowhere() {
    let wanted = || {
        Behaviour::from_fn(|headers, _| match headers.get("authorization") {
            Some(key) if key == "Bearer new-quill" => Answer::Ok,
            _ => Answer::Status(401),
        })
    };
    for (arn, target, old, new) in [
        (
            SECRET,
            "secretsmanager.GetSecretValue",
            json!({"SecretString": format!("authorization=Bearer {OLD}")}),
            json!({"SecretString": format!(r#"{{"authorization": "Bearer {NEW}"}}"#)}),
        ),
        (
            PARAMETER,
            "AmazonSSM.GetParameter",
            json!({"Parameter": {"Value": format!("authorization=Bearer {OLD}")}}),
            json!({"Parameter": {"Value": format!("authorization=Bearer {NEW}")}}),
        ),
    ] {
        let script = [(StatusCode::OK, old), (StatusCode::OK, new)];
        let store = Store::start(script).await;
        let collector = TestCollector::start(wanted()).await.unwrap();
        let log = one_request(&store, &collector, arn, "stdout").await;
        assert_eq!(store.targets(), [target; 2], "{arn}");
        assert_eq!(collector.spans().unwrap().len(), 2, "{arn}");
        let counts = measurement_counts(&collector, "http.server.request.duration", "http.route");
        assert_eq!(counts["/onboarding"], 1, "{arn}");
        assert_eq!(authorizations(&collector)[0], format!("Bearer {OLD}"));
        assert_eq!(about_the_variable(&log), [""; 0], "{arn}");
        assert_shows_no_key(&log);
    }
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_is_one_line_and_the_export_goes_on() {
    let denied = json!({"__type": "AccessDeniedException", "Message": "User: x is not authorized"});
    let store = Store::start([(StatusCode::BAD_REQUEST, denied)]).await;
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let log = one_request(&store, &collector, SECRET, "stdout").await;
    let lines = about_the_variable(&log);
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        VARIABLE,
        SECRET,
        "access denied",
        "User: x is not authorized",
    ] {
        assert!(lines[0].contains(part), "{lines:?}");
    }
    assert_eq!(collector.spans().unwrap().len(), 2);
    assert!(
        authorizations(&collector)
            .iter()
            .all(|key| key == "Bearer variable")
    );
}

#[tokio::test]
async fn a_store_that_says_nothing_delays_the_start_by_two_seconds_and_loses_nothing() {
    // Connections are accepted by the kernel, and nobody ever reads them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = Store {
        address: silent.local_addr().unwrap(),
        shared: Arc::default(),
    };
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let began = Instant::now();
    let log = one_request(&store, &collector, PARAMETER, "stdout").await;
    // Two at the start, and at the end half of the three that the last flush has.
    assert!(began.elapsed() < Duration::from_secs(8), "{began:?}");
    let lines = about_the_variable(&log);
    assert!(
        !lines.is_empty() && lines[0].contains("timed out waiting"),
        "{lines:?}"
    );
    assert_eq!(collector.spans().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_no_arn_is_one_line_that_does_not_repeat_it() {
    let store = Store::start([(StatusCode::OK, json!({}))]).await;
    let collector = TestCollector::start(Answer::Ok).await.unwrap();
    let log = one_request(&store, &collector, &format!("authorization={OLD}"), "none").await;
    let lines = about_the_variable(&log);
    assert!(
        lines.len() == 1 && lines[0].contains("expected an ARN"),
        "{lines:?}"
    );
    assert_shows_no_key(&log);
    assert!(store.targets().is_empty());
    assert_eq!(collector.spans().unwrap().len(), 2);
}
