use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Answer, FakeService, load};

/// Duration of the stall.
const STALL: Duration = Duration::from_secs(1);

/// Starts a service that stalls for a second at its hundredth request.
async fn stalling() -> FakeService {
    FakeService::start_with(|number, _| {
        if number == 100 {
            Answer::Stall(STALL)
        } else {
            Answer::Status(axum::http::StatusCode::ACCEPTED)
        }
    })
    .await
}

#[tokio::test]
async fn an_open_loop_sends_each_request_of_its_schedule() {
    let service = FakeService::start().await;
    let run = load(&service.url, &["--rate=200", "--duration=1s"]).await;
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let requests = &run.report["requests"];
    for name in ["started", "finished", "accepted"] {
        assert_eq!(requests[name], 200, "{name}");
    }
    assert_eq!(run.report["statuses"]["202"], 200);
    assert_eq!(run.report["latency"]["corrected"]["count"], 200);
    let received = service.received();
    let ids = received
        .iter()
        .map(|request| request.body["customer_id"].as_str());
    assert_eq!(ids.collect::<HashSet<_>>().len(), 200);
    // Connections are kept: one of them is the check that the service listens.
    assert!(service.connections() < 100, "{}", service.connections());
    assert!(run.stderr().contains("p99"), "{}", run.stderr());
}

#[tokio::test]
async fn a_stall_delays_all_requests_of_an_open_loop_that_were_due_during_it() {
    let service = stalling().await;
    let arguments = ["--rate=200", "--duration=2s", "--max-outstanding=4"];
    let run = load(&service.url, &arguments).await;
    let Value::Object(latency) = &run.report["latency"] else {
        panic!("{}", run.stderr());
    };
    // 200 of 400 requests were due during the stall, but only four could be sent.
    let corrected = &latency["corrected"];
    assert!(corrected["p90"].as_f64() > Some(0.5), "{latency:?}");
    assert!(corrected["p99"].as_f64() > Some(0.9), "{latency:?}");
    assert!(
        latency["uncorrected"]["p90"].as_f64() < Some(0.5),
        "{latency:?}"
    );
    assert_eq!(run.report["requests"]["finished"], 400);
}

#[tokio::test]
async fn a_closed_loop_shows_a_stall_only_with_its_expected_interval() {
    let service = stalling().await;
    let arguments = [
        "--concurrency=1",
        "--duration=3s",
        "--expected-interval=5ms",
    ];
    let run = load(&service.url, &arguments).await;
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let latency = &run.report["latency"];
    let uncorrected = &latency["uncorrected"];
    assert!(uncorrected["p99"].as_f64() < Some(0.5), "{latency}");
    assert!(uncorrected["max"].as_f64() >= Some(1.0), "{latency}");
    // One latency for the stall, and those of the requests that were expected during it.
    let added =
        latency["corrected"]["count"].as_u64().unwrap() - uncorrected["count"].as_u64().unwrap();
    assert!(added >= 199, "{latency}");
    assert_eq!(run.report["configuration"]["loop"], "closed");
}

#[tokio::test]
async fn a_closed_loop_uses_the_given_number_of_connections() {
    let service = FakeService::start().await;
    let run = load(&service.url, &["--concurrency=3", "--duration=500ms"]).await;
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert!(run.report["latency"]["corrected"].is_null());
    // One more checks that the service listens.
    assert_eq!(service.connections(), 4);
}
