//! The part of the Runtime API's contract that the library implements itself: requests for events,
//! and the trace id of each.

use std::time::{Duration, Instant};

use ::http::StatusCode;
use baton_test_support::{
    CollectorResponse, FakeLambda, LambdaError, PointValue, Record, TestCollector, event,
};
use serde_json::{Value, json};

use crate::support::binaries::example;
use crate::support::functions::{SCRIPTED, TIMEOUT, function, start_with};
use crate::support::recording_server::RecordingServer;

#[tokio::test]
async fn sdk_requests_carry_the_xray_trace_id_of_their_own_invocation() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let sqs = RecordingServer::start(StatusCode::OK, json!({"MessageId": "sent-1"})).await;
    let queue = format!("{}/123456789012/follow-ups", sqs.url);
    let function = function(example("aws_sdk").to_str().unwrap(), &collector)
        .variable("FOLLOW_UP_QUEUE_URL", &queue)
        .variable("AWS_ENDPOINT_URL", &sqs.url)
        .variable("AWS_ACCESS_KEY_ID", "test")
        .variable("AWS_SECRET_ACCESS_KEY", "test");
    let lambda = FakeLambda::start(&function).await.unwrap();
    for number in 0..3 {
        let record = Record::new(number).body(json!({"id": "1"}));
        let invocation = lambda.invoke(event(&[record]), TIMEOUT).await.unwrap();
        assert!(invocation.response.is_ok());
    }
    let requests = sqs.received();
    let mut sent: Vec<&str> = requests
        .iter()
        .map(|request| request.header("x-amzn-trace-id"))
        .collect();
    assert!(sent.iter().all(|id| id.starts_with("Root=1-")), "{sent:?}");
    sent.dedup();
    assert_eq!(sent.len(), 3, "{sent:?}");
}

#[tokio::test]
async fn an_invalid_response_of_the_runtime_api_stops_the_function_with_the_cause() {
    for (status, text) in [
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            "GET /2018-06-01/runtime/invocation/next returned 500 Internal Server Error",
        ),
        (
            StatusCode::OK,
            "the response to GET /2018-06-01/runtime/invocation/next has no header lambda-runtime-aws-request-id",
        ),
    ] {
        let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
        let runtime_api = RecordingServer::start(status, Value::Null).await;
        let address = runtime_api.url.trim_start_matches("http://");
        let lambda = start_with(SCRIPTED, &collector, |function| {
            function.variable("AWS_LAMBDA_RUNTIME_API", address)
        })
        .await;
        let LambdaError::Exited { status, stderr } = lambda.wait_until_ready().await.unwrap_err()
        else {
            panic!("the function should have ended");
        };
        assert!(!status.success());
        assert!(stderr.contains(text), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[tokio::test]
async fn an_unreachable_runtime_api_stops_the_function_with_its_address_and_the_cause() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let lambda = start_with(SCRIPTED, &collector, |function| {
        function.variable("AWS_LAMBDA_RUNTIME_API", &address)
    })
    .await;
    let error = lambda.wait_until_ready().await.unwrap_err();
    let LambdaError::Exited { stderr, .. } = error else {
        panic!("the function should have ended: {error}");
    };
    let text = format!("request to the Lambda Runtime API at {address} failed: ");
    assert!(stderr.contains(&text), "{stderr}");
    assert!(stderr.contains("Connection refused"), "{stderr}");
}

#[tokio::test]
async fn with_snap_start_the_function_waits_for_the_restore_before_the_first_event() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let runtime_api = RecordingServer::start(StatusCode::OK, Value::Null).await;
    let address = runtime_api.url.trim_start_matches("http://");
    let lambda = start_with(SCRIPTED, &collector, |function| {
        function
            .variable("AWS_LAMBDA_RUNTIME_API", address)
            .variable("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    })
    .await;
    lambda.wait_until_ready().await.unwrap_err();
    let received = runtime_api.received();
    let paths: Vec<&str> = received.iter().map(|request| &*request.path).collect();
    assert_eq!(
        paths,
        [
            "/2018-06-01/runtime/restore/next",
            "/2018-06-01/runtime/invocation/next"
        ]
    );
}

/// Returns the data points of `faas.init_duration` after one invocation, and the time from the
/// start of the function to the end of that invocation.
async fn init_durations(initialization_type: &str) -> (Vec<PointValue>, Duration) {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let began = Instant::now();
    let lambda = start_with(SCRIPTED, &collector, |function| {
        function.variable("AWS_LAMBDA_INITIALIZATION_TYPE", initialization_type)
    })
    .await;
    let invocation = lambda.invoke(event(&[Record::new(0)]), TIMEOUT).await;
    assert!(invocation.unwrap().response.is_ok());
    let elapsed = began.elapsed();
    let metrics = collector.metrics().unwrap();
    assert!(
        metrics
            .iter()
            .any(|metric| metric.name == "faas.coldstarts")
    );
    let points = metrics
        .into_iter()
        .filter(|metric| metric.name == "faas.init_duration")
        .flat_map(|metric| metric.points);
    (points.map(|point| point.value).collect(), elapsed)
}

#[tokio::test]
async fn the_init_duration_is_measured_once_from_the_start_of_the_process() {
    let (points, elapsed) = init_durations("on-demand").await;
    let [PointValue::Histogram { count: 1, sum, .. }] = &points[..] else {
        panic!("expected one duration, found {points:?}");
    };
    // The clock of the process has a resolution of ten milliseconds.
    let limit = elapsed + Duration::from_millis(10);
    assert!(
        sum.is_some_and(|seconds| (0.0..limit.as_secs_f64()).contains(&seconds)),
        "{sum:?} of {elapsed:?}"
    );
}

#[tokio::test]
async fn a_restored_snapshot_has_no_init_duration() {
    let (points, _) = init_durations("snap-start").await;
    assert_eq!(points, []);
}
