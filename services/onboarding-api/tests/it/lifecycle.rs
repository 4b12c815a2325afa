use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use baton_test_support::{FakeSqs, SqsReply};
use http::StatusCode;
use onboarding_api::Drain;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

use crate::support::process::Process;
use crate::support::spans::attribute;
use crate::support::{Api, VALID, client};

const HEALTH_CHECK: &str = "GET /healthz HTTP/1.1\r\nhost: api.example.com\r\n\r\n";

/// Bytes of a request that ends amid its headers.
const HALF_A_HEAD: usize = 40;

/// How long the process may take to end once it has said that it stops: its last spans get three
/// seconds.
const ENDS_WITHIN: Duration = Duration::from_secs(8);

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onboarding-api"));
    command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
    // Neither a file of this machine's user nor the metadata service of a cloud has a say in a
    // test.
    command
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

#[tokio::test]
async fn a_stopping_server_finishes_what_it_accepted() {
    let api = Api::start().await;
    let (address, sqs) = (api.address, api.sqs.clone());
    sqs.reply_with([SqsReply::Held]);
    let request = tokio::spawn(client_request(address));
    sqs.call_arrived().await;
    let server = api.begin_stop();
    refused(address).await;
    sqs.release();
    assert_eq!(request.await.unwrap(), 202);
    assert_eq!(server.await.unwrap(), Drain::Complete);
}

#[tokio::test]
async fn a_stopping_server_does_not_wait_for_ever() {
    let api = Api::with_shutdown_timeout(Duration::from_millis(50)).await;
    api.sqs.reply_with([SqsReply::Held]);
    let request = tokio::spawn(client_request(api.address));
    api.sqs.call_arrived().await;
    assert_eq!(api.stop().await, Drain::TimedOut);
    request.abort();
}

#[tokio::test]
async fn silent_and_idle_connections_do_not_hold_a_stop_up() {
    let api = Api::start().await;
    let silent = client::said(api.address, "").await;
    let mut idle = client::said(api.address, HEALTH_CHECK).await;
    answered(&mut idle).await;
    let mut half_a_second_head = client::said(api.address, HEALTH_CHECK).await;
    answered(&mut half_a_second_head).await;
    half_a_second_head.write_all(b"GET /he").await.unwrap();
    assert_eq!(api.stop().await, Drain::Complete);
    drop((silent, idle, half_a_second_head));
}

#[tokio::test]
async fn requests_left_at_the_end_of_the_time_have_ended_their_spans() {
    let api = Api::with_shutdown_timeout(Duration::from_millis(50)).await;
    api.sqs.reply_with([SqsReply::Held]);
    let request = tokio::spawn(async move { client_request(api.address).await });
    api.sqs.call_arrived().await;
    let (drain, spans, metrics) = api.stop_and_look().await;
    assert_eq!(drain, Drain::TimedOut);
    for name in ["POST /onboarding", "send onboarding"] {
        let span = spans.one(name);
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
async fn half_a_head_on_a_fresh_connection_costs_a_stop_no_more_than_a_second() {
    let api = Api::with_shutdown_timeout(Duration::from_secs(60)).await;
    let half_a_head = client::said(api.address, &HEALTH_CHECK[..HALF_A_HEAD]).await;
    // Whatever is answered after it shows that the connection was accepted.
    assert_eq!(api.get("/healthz").await.status, 200);
    let began = Instant::now();
    assert_eq!(api.stop().await, Drain::Complete);
    assert!(began.elapsed() < Duration::from_secs(5), "{began:?}");
    drop(half_a_head);
}

#[tokio::test]
async fn a_head_that_is_complete_soon_after_the_stop_is_answered() {
    let api = Api::start().await;
    let address = api.address;
    let mut begun = client::said(address, &HEALTH_CHECK[..HALF_A_HEAD]).await;
    assert_eq!(api.get("/healthz").await.status, 200);
    let server = api.begin_stop();
    refused(address).await;
    begun
        .write_all(&HEALTH_CHECK.as_bytes()[HALF_A_HEAD..])
        .await
        .unwrap();
    let mut answer = String::new();
    begun.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(server.await.unwrap(), Drain::Complete);
}

#[tokio::test]
async fn the_binary_ends_in_time_although_a_client_never_finishes_its_request() {
    let sqs = FakeSqs::start().await.unwrap();
    let (mut child, mut lines, address) = serving(&sqs, "1").await;
    let request = client::onboarding_request(VALID, 1);
    let stalled_body = client::said(address, &request).await;
    let stalled_head = client::said(address, &request[..HALF_A_HEAD]).await;
    // Whatever is answered after them shows that the stalled ones were accepted.
    assert_eq!(client_request(address).await, 202);
    terminate(&child).await;
    line_with(
        &mut lines,
        "stopped with unfinished requests: shutdown timed out",
    )
    .await;
    let ended = tokio::time::timeout(ENDS_WITHIN, child.wait()).await;
    assert!(ended.expect("the process has ended").unwrap().success());
    drop((stalled_body, stalled_head));
}

#[tokio::test]
async fn bad_configuration_ends_the_binary_with_its_own_code() {
    let ended = binary()
        .env("QUEUE_URL", "nonsense")
        .env("AWS_REGION", "eu-west-1")
        .output()
        .await
        .unwrap();
    assert_eq!(ended.status.code(), Some(78), "{ended:?}");
}

#[tokio::test]
async fn the_binary_logs_each_accepted_request_once_with_its_trace_and_message() {
    let sqs = FakeSqs::start().await.unwrap();
    let process = Process::start(&sqs, &[("OTEL_TRACES_EXPORTER", "none")]).await;
    let (address, json) = (process.address, [client::JSON]);
    let accepted = client::request(address, "POST", "/onboarding", &json, VALID).await;
    let refused = client::request(address, "POST", "/onboarding", &json, "{}").await;
    assert_eq!(
        (accepted.status, refused.status),
        (StatusCode::ACCEPTED, StatusCode::UNPROCESSABLE_ENTITY)
    );
    process.terminator().await;
    let log = process.into_log().await;
    let lines: Vec<_> = log
        .iter()
        .filter(|line| line["message"] == "message accepted")
        .collect();
    assert_eq!(lines.len(), 1, "{log:?}");
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(lines[0]["message_id"], FakeSqs::MESSAGE_ID);
    assert_eq!(lines[0]["trace_id"], accepted.json()["trace_id"]);
    assert!(!lines[0].to_string().contains("ada@example.com"));
}

#[tokio::test]
async fn the_binary_says_where_it_listens_and_ends_well_at_sigterm() {
    let sqs = FakeSqs::start().await.unwrap();
    let (mut child, mut lines, address) = serving(&sqs, "5").await;
    assert_eq!(client_request(address).await, 202);
    terminate(&child).await;
    line_with(&mut lines, "stopped").await;
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn the_binary_sends_xrays_header_when_told_to_and_as_a_system_attribute() {
    let sqs = FakeSqs::start().await.unwrap();
    let listed = [("OTEL_PROPAGATORS", "tracecontext,baggage,xray")];
    let (child, _lines, address) = serving_with(&sqs, "5", &listed).await;
    assert_eq!(client_request(address).await, 202);
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
    drop(child);
}

#[tokio::test]
async fn every_fault_of_the_configuration_is_a_log_line_that_names_its_variable() {
    let ended = binary()
        .env("LISTEN_ADDR", "localhost")
        .output()
        .await
        .unwrap();
    let log = String::from_utf8(ended.stdout).unwrap();
    for variable in ["QUEUE_URL", "LISTEN_ADDR", "AWS_REGION"] {
        let named = format!("\"variable\":\"{variable}\"");
        assert_eq!(
            log.lines().filter(|line| line.contains(&named)).count(),
            1,
            "{variable}: {log}"
        );
    }
    assert_eq!(ended.status.code(), Some(78));
}

#[tokio::test]
async fn a_missing_region_is_one_line_and_not_what_the_sdk_has_to_say_about_it() {
    let ended = binary()
        .env("QUEUE_URL", "http://127.0.0.1:1/000000000000/onboarding")
        .env("AWS_EC2_METADATA_DISABLED", "false")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
        .output()
        .await
        .unwrap();
    let log = String::from_utf8(ended.stdout).unwrap();
    let complaints: Vec<&str> = log
        .lines()
        .filter(|line| !line.contains("\"INFO\""))
        .collect();
    assert_eq!(complaints.len(), 1, "{log}");
    assert!(complaints[0].contains("AWS_REGION is not set"), "{log}");
    assert_eq!((ended.status.code(), ended.stderr), (Some(78), Vec::new()));
}

/// The binary as a process that serves, the rest of its log, and where it listens.
async fn serving(
    sqs: &FakeSqs,
    shutdown_timeout: &str,
) -> (Child, Lines<BufReader<ChildStdout>>, SocketAddr) {
    serving_with(sqs, shutdown_timeout, &[]).await
}

/// The same with `variables` in its environment.
async fn serving_with(
    sqs: &FakeSqs,
    shutdown_timeout: &str,
    variables: &[(&str, &str)],
) -> (Child, Lines<BufReader<ChildStdout>>, SocketAddr) {
    let mut child = binary()
        .envs(variables.iter().copied())
        .env(
            "QUEUE_URL",
            format!("http://{}/000000000000/onboarding", sqs.address),
        )
        .env("LISTEN_ADDR", "127.0.0.1:0")
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ENDPOINT_URL_SQS", format!("http://{}", sqs.address))
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("SHUTDOWN_TIMEOUT", shutdown_timeout)
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let listening = line_with(&mut lines, "listening").await;
    let address = listening["address"].as_str().unwrap().parse().unwrap();
    (child, lines, address)
}

async fn terminate(child: &Child) {
    let pid = child.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status().await;
    assert!(sent.unwrap().success());
}

/// Returns once the server has said something.
async fn answered(connection: &mut TcpStream) {
    assert_ne!(connection.read(&mut [0; 1024]).await.unwrap(), 0);
}

/// The next log line with this message; the lines before it are passed over.
async fn line_with(lines: &mut Lines<BufReader<ChildStdout>>, message: &str) -> Value {
    loop {
        let line = lines
            .next_line()
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("no line {message:?}"));
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["message"] == message {
            return line;
        }
    }
}

async fn client_request(address: SocketAddr) -> u16 {
    client::request(address, "POST", "/onboarding", &[client::JSON], VALID)
        .await
        .status
        .as_u16()
}

/// Returns once connections are refused.
async fn refused(address: SocketAddr) {
    for _ in 0..100 {
        if TcpStream::connect(address).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server still accepts");
}
