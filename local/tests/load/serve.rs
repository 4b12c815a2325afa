use std::process::{Output, Stdio};
use std::time::Duration;

use axum::http::StatusCode;
use http::HeaderMap;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::support::{Answer, FakeService, baton};

const PATH: &str = "/admin/generate-traffic";
/// Time limit for each step.
const LIMIT: Duration = Duration::from_secs(10);

/// A running `baton load --serve`.
struct Server {
    process: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
    token: String,
}

struct Response {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Server {
    async fn start(service: &FakeService, arguments: &[&str]) -> Self {
        let token = Uuid::new_v4().to_string();
        let mut process = baton()
            .args(["load", "--serve", "127.0.0.1:0", "--url", &service.url])
            .args(arguments)
            .env("BATON_LOAD_TOKEN", &token)
            // A variable of a run, which a ConfigMap may share with a Job.
            .env("BATON_LOAD_RATE", "5")
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        let read = timeout(LIMIT, stdout.read_line(&mut line)).await;
        read.unwrap().unwrap();
        let address = line.split_once("http://").unwrap().1;
        let address = address.split(' ').next().unwrap().to_owned();
        Self {
            process,
            stdout,
            address,
            token,
        }
    }

    /// Sends a request with these lines of its head, and returns the response.
    async fn exchange(&self, request: &str, headers: &[&str], body: &str) -> Response {
        let mut head = format!("{request} HTTP/1.1\r\nconnection: close\r\n");
        let has_host = headers.iter().any(|header| header.starts_with("host:"));
        if !has_host {
            head += &format!("host: {}\r\n", self.address);
        }
        for header in headers {
            head += &format!("{header}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n{body}", body.len());
        let exchange = async {
            let mut stream = TcpStream::connect(&self.address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut response = Vec::new();
            stream.read_to_end(&mut response).await.unwrap();
            String::from_utf8(response).unwrap()
        };
        Response::parse(&timeout(LIMIT, exchange).await.unwrap())
    }

    /// Sends a request with the token.
    async fn send(&self, method: &str, body: &str) -> Response {
        let token = format!("authorization: Bearer {}", self.token);
        let headers = [&*token, "content-type: application/json"];
        self.exchange(&format!("{method} {PATH}"), &headers, body)
            .await
    }

    async fn post(&self, body: &Value) -> Response {
        self.send("POST", &body.to_string()).await
    }

    async fn state(&self) -> Value {
        let response = self.send("GET", "").await;
        assert_eq!(response.status, 200);
        response.body
    }

    /// Waits for the end of the run, and returns its state.
    async fn ended(&self) -> Value {
        let poll = async {
            loop {
                let state = self.state().await;
                if state["state"] != "running" {
                    return state;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LIMIT, poll).await.unwrap()
    }

    fn kill(&self, signal: Signal) {
        let pid = Pid::from_raw(self.process.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end of the process, and returns its output.
    async fn output(mut self) -> Output {
        let output = async {
            let mut stdout = Vec::new();
            self.stdout.read_to_end(&mut stdout).await.unwrap();
            let output = self.process.wait_with_output().await.unwrap();
            Output { stdout, ..output }
        };
        timeout(LIMIT, output).await.unwrap()
    }
}

impl Response {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.parse().unwrap(), value.parse().unwrap())
        });
        Self {
            status: status.parse().unwrap(),
            headers: headers.collect(),
            body: serde_json::from_str(body).unwrap(),
        }
    }

    /// Checks that this is a problem document with `status`.
    fn assert_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert!(self.body["detail"].is_string() && self.body["title"].is_string());
    }
}

fn traffic(seconds: u64, per_minute: u64) -> Value {
    json!({"duration_seconds": seconds, "requests_per_minute": per_minute})
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn a_request_starts_a_run_with_the_counts_of_the_target() {
    let service = FakeService::start_with(|number, _| {
        Answer::Status(match number {
            3 => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::ACCEPTED,
        })
    })
    .await;
    let server = Server::start(&service, &["--header=x-api-key: 1"]).await;
    assert_eq!(server.state().await, json!({"state": "idle"}));
    let started = server.post(&traffic(1, 1_200)).await;
    assert_eq!(started.status, 202, "{}", started.body);
    assert_eq!(started.body["planned_requests"], 20);
    assert_eq!(started.body["state"], "running");
    let ended = server.ended().await;
    assert_eq!(
        (&ended["id"], &ended["state"]),
        (&started.body["id"], &"finished".into())
    );
    assert_eq!(ended["ends_in_seconds"], 0);
    let report = &ended["report"];
    let requests = &report["requests"];
    for (name, count) in [
        ("started", 20),
        ("finished", 20),
        ("accepted", 19),
        ("failed", 1),
    ] {
        assert_eq!(requests[name], count, "{name}: {report}");
    }
    assert_eq!(report["statuses"], json!({"202": 19, "500": 1}));
    assert_eq!(report["passed"], false);
    let received = service.received();
    assert_eq!(received.len(), 20);
    assert_eq!(received[0].headers["x-api-key"], "1");
    // The ids of the customers contain that of the run.
    let id = started.body["id"].as_str().unwrap();
    let customer = received[0].body["customer_id"].as_str().unwrap();
    assert!(customer.contains(id), "{customer}");
    server.kill(Signal::TERM);
    let output = server.output().await;
    assert_eq!(output.status.code(), Some(0));
    let lines = stderr(&output);
    let start = format!("run {id} started: steady, 1200 requests/min, for 1 s");
    assert!(lines.lines().any(|line| line == start), "{lines}");
    let end = "20 sent, 19 accepted, 0 rejected as expected, 1 failed";
    let is_end =
        |line: &&str| line.starts_with(&format!("run {id} finished")) && line.ends_with(end);
    assert_eq!(lines.lines().filter(is_end).count(), 1, "{lines}");
}

#[tokio::test]
async fn the_profile_comes_from_the_request_or_the_command() {
    let service = FakeService::start().await;
    let server = Server::start(&service, &["--profile=ramp"]).await;
    let started = server.post(&traffic(1, 600)).await;
    assert_eq!(started.body["profile"], "ramp", "{}", started.body);
    assert_eq!(started.body["planned_requests"], 5);
    server.ended().await;
    let body = json!({"duration_seconds": 1, "requests_per_minute": 600, "profile": "blackfriday"});
    let started = server.post(&body).await;
    assert_eq!(started.body["profile"], "blackfriday");
    let ended = server.ended().await;
    assert_eq!(ended["report"]["configuration"]["left_out_faults"], true);
    assert_eq!(ended["report"]["requests"]["started"], 20);
}

#[tokio::test]
async fn there_is_one_run_at_a_time_which_can_be_stopped() {
    let service = FakeService::start().await;
    let server = Server::start(&service, &[]).await;
    server.send("DELETE", "").await.assert_problem(404);
    let started = server.post(&traffic(600, 6_000)).await;
    let rejected = server.post(&traffic(1, 60)).await;
    rejected.assert_problem(409);
    assert_eq!(rejected.body["run"]["id"], started.body["id"]);
    let ends_in = rejected.body["run"]["ends_in_seconds"].as_u64().unwrap();
    assert!((590..=600).contains(&ends_in), "{}", rejected.body);
    assert_eq!(rejected.headers["retry-after"], ends_in.to_string());
    let state = server.state().await;
    assert_eq!(state["state"], "running");
    assert!(state["report"]["passed"].is_null(), "{state}");
    let stopped = server.send("DELETE", "").await;
    assert_eq!(
        (stopped.status, &stopped.body["state"]),
        (200, &"stopped".into())
    );
    assert_eq!(stopped.body["report"]["interrupted"], true);
    assert_eq!(stopped.body["report"]["requests"]["unanswered"], 0);
    let sent = service.received().len();
    assert_eq!(stopped.body["report"]["requests"]["accepted"], sent);
    server.send("DELETE", "").await.assert_problem(404);
    let again = server.post(&traffic(1, 60)).await;
    assert_eq!(again.status, 202, "{}", again.body);
    assert_ne!(again.body["id"], started.body["id"]);
    assert_eq!(server.ended().await["report"]["requests"]["accepted"], 1);
    assert_eq!(service.received().len(), sent + 1);
}

#[tokio::test]
async fn only_one_of_many_concurrent_requests_starts_a_run() {
    let service = FakeService::start().await;
    let server = Server::start(&service, &[]).await;
    let body = traffic(600, 60);
    let requests = (0..20).map(|_| server.post(&body));
    let responses = futures_util::future::join_all(requests).await;
    let started = responses.iter().filter(|response| response.status == 202);
    assert_eq!(started.count(), 1);
    let rejected = responses.iter().filter(|response| response.status == 409);
    assert_eq!(rejected.count(), 19);
}

#[tokio::test]
async fn requests_need_the_token() {
    let service = FakeService::start().await;
    let server = Server::start(&service, &[]).await;
    let body = traffic(1, 60).to_string();
    let other = format!("authorization: Bearer {}", Uuid::new_v4());
    let longer = format!("authorization: Bearer {}0", server.token);
    let basic = format!("authorization: Basic {}", server.token);
    for header in ["x-none: 1", &other, &longer, &basic] {
        for method in ["GET", "POST", "DELETE", "PUT"] {
            let headers = [header, "content-type: application/json"];
            let request = format!("{method} {PATH}");
            let response = server.exchange(&request, &headers, &body).await;
            response.assert_problem(401);
            assert_eq!(
                response.headers["www-authenticate"],
                "Bearer realm=\"baton load\""
            );
            assert!(!response.body.to_string().contains(&server.token));
        }
    }
    assert_eq!(service.received().len(), 0);
    for (path, status) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let response = server.exchange(&format!("GET {path}"), &[], "").await;
        assert_eq!(
            (response.status, &response.body["status"]),
            (200, &status.into())
        );
    }
}

#[tokio::test]
async fn invalid_requests_are_problems() {
    let service = FakeService::start().await;
    let server = Server::start(&service, &[]).await;
    for body in ["", "{", "[]", "7"] {
        server.send("POST", body).await.assert_problem(400);
    }
    let invalid = json!({"duration_seconds": 3601, "requests_per_minute": "many", "profile": "fast", "rate": 1});
    let response = server.post(&invalid).await;
    response.assert_problem(422);
    let expected = json!([
        {"field": "rate", "found": 1, "expected": "one of the fields duration_seconds, requests_per_minute, profile"},
        {"field": "duration_seconds", "found": 3601, "expected": "an integer from 1 to 3600"},
        {"field": "requests_per_minute", "found": "many", "expected": "an integer from 1 to 60000"},
        {"field": "profile", "found": "fast", "expected": "one of steady, ramp, blackfriday, soak"},
    ]);
    assert_eq!(response.body["errors"], expected);
    server
        .send("POST", &" ".repeat(4097))
        .await
        .assert_problem(413);
    let put = server.send("PUT", "{}").await;
    put.assert_problem(405);
    let allow = put.headers["allow"].to_str().unwrap();
    assert!(
        ["GET", "POST", "DELETE"]
            .iter()
            .all(|method| allow.contains(method)),
        "{allow}"
    );
    server
        .exchange("POST /healthz", &[], "")
        .await
        .assert_problem(405);
    server
        .exchange("GET /admin", &[], "")
        .await
        .assert_problem(404);
    let token = format!("authorization: Bearer {}", server.token);
    let request = format!("POST {PATH}");
    let body = traffic(1, 60).to_string();
    for headers in [
        &["content-type: text/plain"][..],
        &[],
        &["content-type: application/json", "content-encoding: gzip"],
    ] {
        let headers = [headers, &[&token]].concat();
        server
            .exchange(&request, &headers, &body)
            .await
            .assert_problem(415);
    }
    assert_eq!(service.received().len(), 0);
    let headers = [&*token, "content-type: application/json; charset=utf-8"];
    assert_eq!(server.exchange(&request, &headers, &body).await.status, 202);
}

#[tokio::test]
async fn requests_from_web_pages_are_rejected() {
    let service = FakeService::start().await;
    let server = Server::start(&service, &[]).await;
    let token = format!("authorization: Bearer {}", server.token);
    let request = format!("GET {PATH}");
    for (header, status) in [
        ("host: attacker.example", 421),
        ("origin: https://attacker.example", 403),
    ] {
        let response = server.exchange(&request, &[header, &token], "").await;
        response.assert_problem(status);
        assert!(
            response
                .headers
                .get("access-control-allow-origin")
                .is_none()
        );
    }
    let headers = ["host: localhost:8081", &token];
    let response = server.exchange(&request, &headers, "").await;
    assert_eq!(response.status, 200);
}

#[tokio::test]
async fn a_target_that_does_not_listen_is_reported() {
    let service = FakeService::start().await;
    let server = Server::start(&service, &["--timeout=2s"]).await;
    drop(service);
    sleep(Duration::from_millis(100)).await;
    let response = server.post(&traffic(1, 60)).await;
    response.assert_problem(502);
    let detail = response.body["detail"].as_str().unwrap();
    assert!(detail.contains("cannot connect to"), "{detail}");
    assert_eq!(server.state().await["state"], "idle");
}

#[tokio::test]
async fn a_signal_stops_the_run_after_the_outstanding_responses() {
    for signal in [Signal::TERM, Signal::INT] {
        let stall = Duration::from_millis(500);
        let service = FakeService::start_with(move |number, _| match number {
            0..5 => Answer::Status(StatusCode::ACCEPTED),
            _ => Answer::Stall(stall),
        })
        .await;
        let server = Server::start(&service, &["--max-outstanding=1"]).await;
        assert_eq!(server.post(&traffic(600, 6_000)).await.status, 202);
        while service.received().len() < 6 {
            sleep(Duration::from_millis(5)).await;
        }
        server.kill(signal);
        let output = server.output().await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let stdout = String::from_utf8(output.stdout.clone()).unwrap();
        // The request that waits for its response gets it, and no other starts.
        assert!(stdout.contains("interrupted after"), "{stdout}");
        assert!(stdout.contains("6 sent, 6 finished"), "{stdout}");
        assert!(stdout.contains("failed         0"), "{stdout}");
        assert_eq!(service.received().len(), 6);
        assert!(
            stderr(&output).contains("stopped after"),
            "{}",
            stderr(&output)
        );
    }
}

#[tokio::test]
async fn a_second_signal_does_not_wait() {
    let service = FakeService::start_with(|_, _| Answer::Hang).await;
    let server = Server::start(&service, &["--timeout=5m"]).await;
    server.post(&traffic(600, 600)).await;
    while service.received().is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    server.kill(Signal::TERM);
    sleep(Duration::from_millis(300)).await;
    server.kill(Signal::INT);
    let output = server.output().await;
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
}

#[tokio::test]
async fn the_server_does_not_start_without_a_valid_token_and_a_target() {
    let url = "--url=http://127.0.0.1:1/";
    let token = Uuid::new_v4().to_string();
    let line = format!("{token}\n");
    for (token, arguments, expected) in [
        (
            None,
            &[url][..],
            "--serve needs a token of at least 16 characters in the variable BATON_LOAD_TOKEN",
        ),
        (
            Some(""),
            &[url],
            "--serve needs a token of at least 16 characters",
        ),
        (
            Some(&token[..15]),
            &[url],
            "BATON_LOAD_TOKEN: expected at least 16 characters, found 15",
        ),
        (Some(&line), &[url], "must not end with a line break"),
        (Some(&token), &[], "--url <URL>"),
        (
            Some(&token),
            &[url, "--rate=5"],
            "cannot be used with '--rate <N>'",
        ),
        (
            Some(&token),
            &[url, "--json=-"],
            "cannot be used with '--json <FILE>'",
        ),
    ] {
        let mut command = baton();
        command
            .args(["load", "--serve=127.0.0.1:0"])
            .args(arguments);
        if let Some(token) = token {
            command.env("BATON_LOAD_TOKEN", token);
        }
        let output = timeout(LIMIT, command.output()).await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(2), "{expected}");
        let stderr = stderr(&output);
        assert!(stderr.contains(expected), "{expected}: {stderr}");
        assert!(token.is_none_or(|token| token.is_empty() || !stderr.contains(token)));
    }
}

#[tokio::test]
async fn a_port_in_use_is_an_error() {
    let service = FakeService::start().await;
    let server = Server::start(&service, &[]).await;
    let address = format!("--serve={}", server.address);
    let mut command = baton();
    command.args(["load", &address, "--url", &service.url]);
    command
        .env("BATON_LOAD_TOKEN", &server.token)
        .stdin(Stdio::null());
    let output = timeout(LIMIT, command.output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let expected = format!("cannot listen on {} for --serve", server.address);
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
}
