use std::net::SocketAddr;
use std::time::{Duration, Instant};

use baton_test_support::span_recorder::attribute;
use baton_test_support::{FakeSqs, SqsResponse};
use http::StatusCode;
use onboarding_api::DrainOutcome;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::process::{self, ApiProcess};
use crate::support::{TestApi, VALID, client};

const HEALTH_CHECK: &str = "GET /healthz HTTP/1.1\r\nhost: api.example.com\r\n\r\n";

/// Length of the first part of a request, which ends within its headers.
const HALF_A_HEAD: usize = 40;

/// Time limit for the process to exit: a shutdown timeout of one second, three seconds for the last
/// export, and tolerance for a busy machine.
const EXIT_TIMEOUT: Duration = Duration::from_secs(8);

/// Disables the export of traces, for which there is no collector.
const NO_TRACES: (&str, &str) = ("OTEL_TRACES_EXPORTER", "none");

#[tokio::test]
async fn accepted_requests_are_finished_at_shutdown() {
    let api = TestApi::start().await;
    let (address, sqs) = (api.address, api.sqs.clone());
    sqs.respond_with([SqsResponse::Held]);
    let request = tokio::spawn(onboard(address));
    sqs.wait_for_call().await;
    let server = api.start_shutdown();
    wait_until_refused(address).await;
    sqs.release();
    assert_eq!(request.await.unwrap(), 202);
    assert_eq!(server.await.unwrap(), DrainOutcome::Complete);
}

#[tokio::test]
async fn shutdown_is_limited_by_its_timeout() {
    let api = TestApi::with_shutdown_timeout(Duration::from_millis(50)).await;
    api.sqs.respond_with([SqsResponse::Held]);
    let request = tokio::spawn(onboard(api.address));
    api.sqs.wait_for_call().await;
    assert_eq!(api.shut_down().await, DrainOutcome::TimedOut);
    request.abort();
}

#[tokio::test]
async fn silent_and_idle_connections_do_not_delay_shutdown() {
    let api = TestApi::start().await;
    let silent = client::connect_and_send(api.address, "").await;
    let mut idle = client::connect_and_send(api.address, HEALTH_CHECK).await;
    wait_for_response(&mut idle).await;
    let mut half_a_head = client::connect_and_send(api.address, HEALTH_CHECK).await;
    wait_for_response(&mut half_a_head).await;
    half_a_head.write_all(b"GET /he").await.unwrap();
    assert_eq!(api.shut_down().await, DrainOutcome::Complete);
    drop((silent, idle, half_a_head));
}

#[tokio::test]
async fn requests_cancelled_at_shutdown_end_their_spans() {
    let api = TestApi::with_shutdown_timeout(Duration::from_millis(50)).await;
    api.sqs.respond_with([SqsResponse::Held]);
    let request = tokio::spawn(async move { onboard(api.address).await });
    api.sqs.wait_for_call().await;
    let (drain, spans, metrics) = api.shut_down_with_telemetry().await;
    assert_eq!(drain, DrainOutcome::TimedOut);
    for name in ["POST /onboarding", "send onboarding"] {
        let span = spans.find(name);
        assert_eq!(attribute(&span, "error.type"), "cancelled", "{name}");
    }
    let series = metrics.series("http.server.request.duration");
    assert!(
        series[0]
            .attributes
            .contains(&"error.type=cancelled".to_owned()),
        "{series:?}"
    );
    request.abort();
}

#[tokio::test]
async fn an_incomplete_head_delays_shutdown_by_about_a_second() {
    let api = TestApi::with_shutdown_timeout(Duration::from_secs(60)).await;
    let half_a_head = client::connect_and_send(api.address, &HEALTH_CHECK[..HALF_A_HEAD]).await;
    // A response to a later connection shows that this one was accepted.
    assert_eq!(api.get("/healthz").await.status, 200);
    let started_at = Instant::now();
    assert_eq!(api.shut_down().await, DrainOutcome::Complete);
    let elapsed = started_at.elapsed();
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    drop(half_a_head);
}

#[tokio::test]
async fn a_head_completed_soon_after_shutdown_begins_gets_a_response() {
    let api = TestApi::start().await;
    let address = api.address;
    let mut begun = client::connect_and_send(address, &HEALTH_CHECK[..HALF_A_HEAD]).await;
    assert_eq!(api.get("/healthz").await.status, 200);
    let server = api.start_shutdown();
    wait_until_refused(address).await;
    begun
        .write_all(&HEALTH_CHECK.as_bytes()[HALF_A_HEAD..])
        .await
        .unwrap();
    let mut response = String::new();
    begun.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert_eq!(server.await.unwrap(), DrainOutcome::Complete);
}

#[tokio::test]
async fn the_process_exits_in_time_if_a_client_never_finishes_its_request() {
    let sqs = FakeSqs::start().await.unwrap();
    let variables = [NO_TRACES, ("SHUTDOWN_TIMEOUT", "1")];
    let process = ApiProcess::start(&sqs, &variables).await;
    let address = process.address;
    let request = client::onboarding_request(VALID, 1);
    let stalled_body = client::connect_and_send(address, &request).await;
    let stalled_head = client::connect_and_send(address, &request[..HALF_A_HEAD]).await;
    // A response to a later connection shows that these were accepted.
    assert_eq!(onboard(address).await, 202);
    let terminated_at = Instant::now();
    process.terminate().await;
    let log = process.into_log().await;
    let elapsed = terminated_at.elapsed();
    assert!(elapsed < EXIT_TIMEOUT, "{elapsed:?}");
    let message = "stopped with unfinished requests: shutdown timed out";
    assert_eq!(lines_with(&log, message).len(), 1, "{log:?}");
    drop((stalled_body, stalled_head));
}

#[tokio::test]
async fn invalid_configuration_has_its_own_exit_code() {
    let output = process::command()
        .env("QUEUE_URL", "nonsense")
        .env("AWS_REGION", "eu-west-1")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
}

#[tokio::test]
async fn each_accepted_request_is_logged_once_with_its_trace_and_message_id() {
    let sqs = FakeSqs::start().await.unwrap();
    let process = ApiProcess::start(&sqs, &[NO_TRACES]).await;
    let (address, json) = (process.address, [client::JSON]);
    let accepted = client::request(address, "POST", "/onboarding", &json, VALID).await;
    let refused = client::request(address, "POST", "/onboarding", &json, "{}").await;
    assert_eq!(
        (accepted.status, refused.status),
        (StatusCode::ACCEPTED, StatusCode::UNPROCESSABLE_ENTITY)
    );
    process.terminate().await;
    let log = process.into_log().await;
    let lines = lines_with(&log, "message accepted");
    assert_eq!(lines.len(), 1, "{log:?}");
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(lines[0]["message_id"], FakeSqs::MESSAGE_ID);
    assert_eq!(lines[0]["trace_id"], accepted.json()["trace_id"]);
    assert_eq!(lines[0]["request_id"], accepted.header("x-request-id"));
    assert!(!lines[0].to_string().contains("ada@example.com"));
}

#[tokio::test]
async fn the_process_logs_its_address_and_exits_with_0_at_sigterm() {
    let sqs = FakeSqs::start().await.unwrap();
    let process = ApiProcess::start(&sqs, &[NO_TRACES]).await;
    assert_eq!(onboard(process.address).await, 202);
    process.terminate().await;
    let log = process.into_log().await;
    assert_eq!(lines_with(&log, "stopped").len(), 1, "{log:?}");
}

#[tokio::test]
async fn the_x_ray_header_is_sent_as_a_system_attribute_if_its_propagator_is_listed() {
    let sqs = FakeSqs::start().await.unwrap();
    let propagators = ("OTEL_PROPAGATORS", "tracecontext,baggage,xray");
    let process = ApiProcess::start(&sqs, &[NO_TRACES, propagators]).await;
    assert_eq!(onboard(process.address).await, 202);
    let traceparent = sqs.attribute("traceparent").unwrap();
    let (trace_id, span_id) = (&traceparent[3..35], &traceparent[36..52]);
    let (seconds, unique) = trace_id.split_at(8);
    assert_eq!(
        sqs.message()["MessageSystemAttributes"],
        serde_json::json!({"AWSTraceHeader": {
            "DataType": "String",
            "StringValue": format!("Root=1-{seconds}-{unique};Parent={span_id};Sampled=1"),
        }})
    );
    assert_eq!(sqs.attribute("X-Amzn-Trace-Id"), None);
}

#[tokio::test]
async fn each_invalid_variable_is_one_log_line() {
    let output = process::command()
        .env("LISTEN_ADDR", "localhost")
        .output()
        .await
        .unwrap();
    let log = String::from_utf8(output.stdout).unwrap();
    for variable in ["QUEUE_URL", "LISTEN_ADDR", "AWS_REGION"] {
        let field = format!("\"variable\":\"{variable}\"");
        let count = log.lines().filter(|line| line.contains(&field)).count();
        assert_eq!(count, 1, "{variable}: {log}");
    }
    assert_eq!(output.status.code(), Some(78));
}

#[tokio::test]
async fn a_missing_region_is_one_log_line_without_warnings_of_the_sdk() {
    let output = process::command()
        .env("QUEUE_URL", "http://127.0.0.1:1/000000000000/onboarding")
        .env("AWS_EC2_METADATA_DISABLED", "false")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
        .output()
        .await
        .unwrap();
    let log = String::from_utf8(output.stdout).unwrap();
    let warnings: Vec<&str> = log
        .lines()
        .filter(|line| !line.contains("\"INFO\""))
        .collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("AWS_REGION is not set"), "{log}");
    assert_eq!(
        (output.status.code(), output.stderr),
        (Some(78), Vec::new())
    );
}

#[tokio::test]
async fn an_unknown_flag_is_invalid_configuration_and_help_lists_the_settings() {
    let output = process::command().arg("--queue").output().await.unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let help = process::command().arg("--help").output().await.unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    for part in [
        "--queue-url <URL>",
        "[env: QUEUE_URL]",
        "[default: 0.0.0.0:8080]",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(help.status.success());
}

fn lines_with<'a>(log: &'a [Value], message: &str) -> Vec<&'a Value> {
    log.iter()
        .filter(|line| line["message"] == message)
        .collect()
}

/// Waits for bytes from the server.
async fn wait_for_response(connection: &mut TcpStream) {
    assert_ne!(connection.read(&mut [0; 1024]).await.unwrap(), 0);
}

async fn onboard(address: SocketAddr) -> u16 {
    client::request(address, "POST", "/onboarding", &[client::JSON], VALID)
        .await
        .status
        .as_u16()
}

/// Waits until connections are refused.
async fn wait_until_refused(address: SocketAddr) {
    for _ in 0..100 {
        if TcpStream::connect(address).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server still accepts connections");
}
