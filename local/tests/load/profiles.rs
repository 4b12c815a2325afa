use axum::http::StatusCode;

use crate::support::{Answer, FakeService, LoadRun, ReceivedRequest, load};

/// Rejects invalid customers as the onboarding API does.
fn validate(_: usize, request: ReceivedRequest) -> Answer {
    let email = request.body["email"].as_str().unwrap();
    Answer::Status(if email.contains('@') {
        StatusCode::ACCEPTED
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    })
}

async fn black_friday(arguments: &[&str]) -> (LoadRun, Vec<ReceivedRequest>) {
    let service = FakeService::start_with(validate).await;
    let profile = ["--profile=blackfriday", "--rate=500", "--duration=2s"];
    let run = load(&service.url, &[&profile, arguments].concat()).await;
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    (run, service.received())
}

fn count(received: &[ReceivedRequest], prefix: &str) -> usize {
    let ids = received.iter().map(|request| &request.body["customer_id"]);
    ids.filter(|id| id.as_str().unwrap().starts_with(prefix))
        .count()
}

fn poison(received: &[ReceivedRequest]) -> usize {
    let is_poison = |request: &&ReceivedRequest| request.body["referrer"].is_string();
    received.iter().filter(is_poison).count()
}

#[tokio::test]
async fn customers_that_need_faults_are_left_out_unless_faults_are_enabled() {
    let (run, received) = black_friday(&[]).await;
    assert_eq!(received.len(), 2_000);
    assert!(
        run.stderr().contains("--faults-enabled is not given"),
        "{}",
        run.stderr()
    );
    assert_eq!(run.report["configuration"]["left_out_faults"], true);
    let failing = ["load-slow-", "load-failing-"].map(|prefix| count(&received, prefix));
    assert_eq!((failing, poison(&received)), ([0, 0], 0));
    let invalid = run.report["requests"]["rejected_invalid"].as_u64().unwrap();
    assert!((50..150).contains(&invalid), "{invalid}");
}

#[tokio::test]
async fn with_faults_there_are_slow_failing_and_poison_customers() {
    let (run, received) = black_friday(&["--faults-enabled"]).await;
    assert!(count(&received, "load-slow-") > 10);
    assert!(count(&received, "load-failing-") > 10);
    assert!(poison(&received) > 5);
    assert_eq!(run.report["requests"]["accepted_poison"], poison(&received));
}

#[tokio::test]
async fn a_ramp_sends_most_requests_at_its_end() {
    let service = FakeService::start().await;
    let arguments = ["--profile=ramp", "--rate=200", "--duration=2s"];
    let run = load(&service.url, &arguments).await;
    let intervals = &run.report["intervals"];
    let finished = |index: usize| intervals[index]["finished"].as_u64().unwrap();
    assert_eq!(service.received().len(), 200);
    assert!((40..60).contains(&finished(0)), "{intervals}");
    assert!(finished(1) > 130, "{intervals}");
}

#[tokio::test]
async fn a_soak_prints_its_intervals() {
    let service = FakeService::start().await;
    let arguments = ["--profile=soak", "--rate=20", "--duration=2s"];
    let run = load(&service.url, &arguments).await;
    let intervals = run.report["intervals"].as_array().unwrap();
    assert_eq!(intervals.len(), 2, "{intervals:?}");
    // The first and the last quarter of so few are not compared.
    assert!(run.report["drift"].is_null());
    let stderr = run.stderr();
    let printed = stderr
        .lines()
        .filter(|line| line.contains("/s  0 failed  p50"));
    assert_eq!(printed.count(), 2, "{stderr}");
}
