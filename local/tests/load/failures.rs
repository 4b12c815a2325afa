use std::time::Duration;

use axum::http::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{Answer, FakeService, command, finished, load, run};

/// Time limit for the end of a run after an interrupt, which waits for no response.
const STOP_LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn unexpected_statuses_fail_the_run_and_are_counted() {
    let service = FakeService::start_with(|number, _| {
        Answer::Status(match number % 10 {
            0 => StatusCode::INTERNAL_SERVER_ERROR,
            1 => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::ACCEPTED,
        })
    })
    .await;
    let run = load(&service.url, &["--rate=100", "--duration=1s"]).await;
    assert_eq!(run.code(), Some(1), "{}", run.stderr());
    let report = run.report;
    assert_eq!(report["requests"]["accepted"], 80);
    // Rejections are expected of invalid customers only, which this profile does not have.
    assert_eq!(report["unexpected_statuses"]["422"], 10);
    assert_eq!(report["unexpected_statuses"]["500"], 10);
    assert_eq!(report["passed"], false);
}

#[tokio::test]
async fn requests_time_out_and_others_are_not_started() {
    let service = FakeService::start_with(|_, _| Answer::Hang).await;
    let arguments = [
        "--rate=100",
        "--duration=1s",
        "--timeout=300ms",
        "--max-outstanding=5",
    ];
    let run = load(&service.url, &arguments).await;
    assert_eq!(run.code(), Some(1), "{}", run.stderr());
    let requests = &run.report["requests"];
    let started = requests["started"].as_u64().unwrap();
    assert!((5..=20).contains(&started), "{started}");
    assert_eq!(requests["not_started"], 100 - started);
    assert_eq!(run.report["errors"]["timed out"]["count"], started);
    assert_eq!(requests["unanswered"], started);
    let p50 = run.report["latency"]["uncorrected"]["p50"].as_f64();
    assert!(p50 >= Some(0.3), "{p50:?}");
}

#[tokio::test]
async fn connections_that_are_closed_without_a_response_are_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let closing = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The connection that checks that the service listens sends nothing.
            let _ = stream.read_u8().await;
        }
    });
    let run = load(&url, &["--rate=50", "--duration=400ms"]).await;
    closing.abort();
    assert_eq!(run.code(), Some(1), "{}", run.stderr());
    let errors = run.report["errors"].as_object().unwrap();
    let count = |name: &str| {
        errors
            .get(name)
            .map_or(0, |error| error["count"].as_u64().unwrap())
    };
    let sum = count("connection closed") + count("connection reset");
    assert_eq!(sum, 20, "{errors:?}");
}

#[tokio::test]
async fn a_service_that_stops_refuses_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let stopping = tokio::spawn(async move {
        listener.accept().await.unwrap();
    });
    let run = load(&url, &["--rate=50", "--duration=400ms"]).await;
    stopping.await.unwrap();
    assert_eq!(run.code(), Some(1), "{}", run.stderr());
    let refused = &run.report["errors"]["connection refused"];
    let count = refused["count"].as_u64().unwrap();
    assert!((15..=20).contains(&count), "{}", run.report);
    let text = refused["first"].as_str().unwrap();
    assert!(text.contains("Connection refused"), "{text}");
    // Only connections that were opened before can have sent something.
    assert_eq!(run.report["requests"]["unanswered"], 20 - count);
    assert_eq!(run.report["latency"]["uncorrected"]["count"], 0);
}

#[tokio::test]
async fn a_port_without_a_listener_is_one_error() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/onboarding", free.local_addr().unwrap());
    drop(free);
    let run = load(&url, &["--rate=1000"]).await;
    assert_eq!(run.code(), Some(4), "{}", run.stderr());
    let stderr = run.stderr();
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines[0], format!("error: cannot connect to {url}"));
    assert!(lines[1].contains("Connection refused"), "{stderr}");
    assert_eq!(lines.len(), 2, "{stderr}");
}

#[tokio::test]
async fn a_report_that_cannot_be_written_is_an_error_before_the_run() {
    let service = FakeService::start().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.args([
        "load",
        "--json=/nonexistent/report.json",
        "--url",
        &service.url,
    ]);
    let run = run(command).await;
    assert_eq!(run.code(), Some(4), "{}", run.stderr());
    let expected = "cannot create /nonexistent/report.json";
    assert!(run.stderr().contains(expected), "{}", run.stderr());
    assert_eq!(service.received().len(), 0);
}

#[tokio::test]
async fn an_interrupt_prints_what_was_measured_until_then() {
    let service = FakeService::start_with(|number, _| match number {
        0..50 => Answer::Status(StatusCode::ACCEPTED),
        _ => Answer::Hang,
    })
    .await;
    let mut baton = command(&service.url, &["--rate=100", "--duration=10m"])
        .spawn()
        .unwrap();
    while service.received().len() < 60 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(matches!(baton.try_wait(), Ok(None)));
    }
    let pid = Pid::from_raw(baton.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = timeout(STOP_LIMIT, baton.wait_with_output()).await.unwrap();
    let run = finished(output.unwrap());
    assert_eq!(run.code(), Some(130), "{}", run.stderr());
    assert!(
        run.stderr().contains("interrupted after"),
        "{}",
        run.stderr()
    );
    assert_eq!(run.report["interrupted"], true);
    assert_eq!(run.report["requests"]["accepted"], 50);
    assert!(run.report["requests"]["unanswered"].as_u64() >= Some(10));
    assert_eq!(run.report["check"]["result"], "unknown");
}
