//! A client of the producer, and a producer outside the stack.

use std::process::Stdio;

use baton_test_support::OutputLines;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::binaries::Binaries;
use super::stack::Endpoints;
use super::{eventually, http};

/// Address of every customer.
pub(crate) const ADDRESS: &str = "zoe.quill@example.com";
/// Part of the address that must not appear in any span or log.
pub(crate) const SECRET: &str = "zoe.quill";

/// Client of a producer.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    url: String,
}

/// Response of the producer to a request that it accepted.
#[derive(Debug, Clone)]
pub(crate) struct AcceptedMessage {
    pub(crate) message_id: String,
    pub(crate) trace_id: String,
}

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
        }
    }

    /// Onboards a customer.
    pub(crate) async fn onboard(&self, customer_id: &str) -> AcceptedMessage {
        self.onboard_with(&onboarding(customer_id), &[]).await
    }

    /// Onboards these customers in sequence.
    pub(crate) async fn onboard_each(&self, customers: &[&str]) -> Vec<AcceptedMessage> {
        let mut accepted = Vec::new();
        for customer in customers {
            accepted.push(self.onboard(customer).await);
        }
        accepted
    }

    /// Onboards a customer who is their own referrer, for which the function always fails.
    pub(crate) async fn onboard_poison(&self, customer_id: &str) -> AcceptedMessage {
        let mut body = onboarding(customer_id);
        body["referrer"] = json!(customer_id);
        self.onboard_with(&body, &[]).await
    }

    pub(crate) async fn onboard_with(
        &self,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> AcceptedMessage {
        let url = format!("{}/onboarding", self.url);
        accepted(&http::post_json(&url, headers, &body.to_string()).await)
    }

    /// Sends a request, and asserts that the producer rejects it.
    pub(crate) async fn expect_client_error(&self, path: &str, body: &str) {
        let response = http::post_json(&format!("{}{path}", self.url), &[], body).await;
        assert!(
            response.status.is_client_error() && !response.body.contains(SECRET),
            "{response:?}"
        );
    }

    pub(crate) async fn smoke_test(&self) -> AcceptedMessage {
        accepted(&http::post_json(&format!("{}/telemetry/smoke", self.url), &[], "").await)
    }
}

pub(crate) fn onboarding(customer_id: &str) -> Value {
    json!({"customer_id": customer_id, "email": ADDRESS, "plan": "team"})
}

fn accepted(response: &http::HttpResponse) -> AcceptedMessage {
    assert_eq!(response.status, 202, "{response:?}");
    let body = response.json();
    let text = |member: &str| {
        body[member]
            .as_str()
            .unwrap_or_else(|| panic!("{member}: {body}"))
            .to_owned()
    };
    AcceptedMessage {
        message_id: text("message_id"),
        trace_id: text("trace_id"),
    }
}

/// A producer in addition to the stack's own, whose log can be read.
#[derive(Debug)]
pub(crate) struct StandaloneProducer {
    process: Child,
    log: OutputLines,
}

impl StandaloneProducer {
    pub(crate) fn start(endpoints: &Endpoints) -> Self {
        Self::start_with(endpoints, &[])
    }

    /// Starts a producer with further variables, which override the defaults.
    pub(crate) fn start_with(endpoints: &Endpoints, variables: &[(&str, &str)]) -> Self {
        let mut process = Command::new(&Binaries::get().producer)
            .env("QUEUE_URL", &endpoints.queue_url)
            .env("LISTEN_ADDR", "127.0.0.1:0")
            .env("AWS_ENDPOINT_URL_SQS", &endpoints.sqs)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoints.otlp_http)
            .env("OTEL_BSP_SCHEDULE_DELAY", "200")
            .env("RUST_LOG", "debug")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the producer can be started");
        let log = OutputLines::read(process.stdout.take().unwrap());
        Self { process, log }
    }

    pub(crate) async fn client(&self) -> Client {
        let address = eventually("the producer listens", async || {
            self.log.lines().iter().find_map(|line| listening(line))
        })
        .await;
        Client::new(&format!("http://{address}"))
    }

    /// Kills the process and returns its log.
    pub(crate) async fn into_log(mut self) -> String {
        self.process.kill().await.unwrap();
        self.log.text()
    }
}

fn listening(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["message"] == "listening").then(|| line["address"].as_str().unwrap().to_owned())
}
