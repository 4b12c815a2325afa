use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::{Json, Router};
use baton_test_support::{Behaviour, CollectorResponse, FakeSqs, TestCollector};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::collector::{authorizations, measurement_counts};
use crate::support::process::ApiProcess;
use crate::support::{VALID, client};

/// Number of spans of a request: the request and its send.
const SPANS: usize = 2;

const VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS_SECRET";
const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:otlp-AbCdEf";
const PARAMETER: &str = "arn:aws:ssm:eu-west-1:123456789012:parameter/otlp/key";

/// Parts of the two keys, which must not be logged.
const OLD: &str = "old-quill";
const NEW: &str = "new-quill";

/// A fake of Secrets Manager and SSM. It responds according to a script, and repeats the last
/// response.
#[derive(Clone)]
struct SecretStore {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<(StatusCode, Value)>>,
    targets: Mutex<Vec<String>>,
}

impl SecretStore {
    async fn start(script: impl Into<VecDeque<(StatusCode, Value)>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(script.into()),
            targets: Mutex::default(),
        });
        let router = Router::new().fallback(respond).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared }
    }

    fn targets(&self) -> Vec<String> {
        self.shared.targets.lock().unwrap().clone()
    }
}

async fn respond(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    let target = headers["x-amz-target"].to_str().unwrap().to_owned();
    shared.targets.lock().unwrap().push(target);
    let mut script = shared.script.lock().unwrap();
    let (status, body) = match script.len() {
        1 => script[0].clone(),
        _ => script.pop_front().unwrap(),
    };
    (status, Json(body))
}

/// Runs a process that reads its headers from the store, for one request. Returns its log.
async fn log_of_one_request(
    store: &SecretStore,
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
    let process = ApiProcess::start(&sqs, &variables).await;
    let response = client::request(
        process.address,
        "POST",
        "/onboarding",
        &[client::JSON],
        VALID,
    );
    assert_eq!(response.await.status, 202);
    process.terminate().await;
    process.into_log().await
}

fn lines_about_the_variable(log: &[Value]) -> Vec<&str> {
    let about = log.iter().filter(|line| line["variable"] == VARIABLE);
    about
        .map(|line| line["message"].as_str().unwrap())
        .collect()
}

fn assert_contains_no_key(log: &[Value]) {
    for line in log {
        let line = line.to_string();
        assert!(!line.contains(OLD) && !line.contains(NEW), "{line}");
    }
}

#[tokio::test]
async fn a_rotated_key_is_read_again_from_either_service_and_never_logged() {
    let wanted = || {
        Behaviour::from_fn(|headers, _| match headers.get("authorization") {
            Some(key) if key == "Bearer new-quill" => CollectorResponse::Ok,
            _ => CollectorResponse::Status(401),
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
        let store = SecretStore::start(script).await;
        let collector = TestCollector::start(wanted()).await.unwrap();
        let log = log_of_one_request(&store, &collector, arn, "stdout").await;
        assert_eq!(store.targets(), [target; 2], "{arn}");
        assert_eq!(collector.spans().unwrap().len(), SPANS, "{arn}");
        let counts = measurement_counts(&collector, "http.server.request.duration", "http.route");
        assert_eq!(counts["/onboarding"], 1, "{arn}");
        assert_eq!(authorizations(&collector)[0], format!("Bearer {OLD}"));
        assert_eq!(lines_about_the_variable(&log), [""; 0], "{arn}");
        assert_contains_no_key(&log);
    }
}

#[tokio::test]
async fn a_denied_secret_is_one_log_line_and_the_export_continues() {
    let denied = json!({"__type": "AccessDeniedException", "Message": "User: x is not authorized"});
    let store = SecretStore::start([(StatusCode::BAD_REQUEST, denied)]).await;
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let log = log_of_one_request(&store, &collector, SECRET, "stdout").await;
    let lines = lines_about_the_variable(&log);
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        VARIABLE,
        SECRET,
        "access denied",
        "User: x is not authorized",
    ] {
        assert!(lines[0].contains(part), "{lines:?}");
    }
    assert_eq!(collector.spans().unwrap().len(), SPANS);
    assert!(
        authorizations(&collector)
            .iter()
            .all(|key| key == "Bearer variable")
    );
}

#[tokio::test]
async fn a_store_that_does_not_respond_delays_the_start_by_two_seconds_and_loses_nothing() {
    // The kernel accepts connections, and no program reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = SecretStore {
        address: silent.local_addr().unwrap(),
        shared: Arc::default(),
    };
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let started_at = Instant::now();
    let log = log_of_one_request(&store, &collector, PARAMETER, "stdout").await;
    // Two seconds at the start, and at shutdown half of the three seconds of the last flush.
    let elapsed = started_at.elapsed();
    assert!(elapsed < Duration::from_secs(8), "{elapsed:?}");
    let lines = lines_about_the_variable(&log);
    assert!(
        !lines.is_empty() && lines[0].contains("timed out waiting"),
        "{lines:?}"
    );
    assert_eq!(collector.spans().unwrap().len(), SPANS);
}

#[tokio::test]
async fn an_invalid_arn_is_one_log_line_without_the_value() {
    let store = SecretStore::start([(StatusCode::OK, json!({}))]).await;
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let log = log_of_one_request(&store, &collector, &format!("authorization={OLD}"), "none").await;
    let lines = lines_about_the_variable(&log);
    assert!(
        lines.len() == 1 && lines[0].contains("expected an ARN"),
        "{lines:?}"
    );
    assert_contains_no_key(&log);
    assert!(store.targets().is_empty());
    assert_eq!(collector.spans().unwrap().len(), SPANS);
}
