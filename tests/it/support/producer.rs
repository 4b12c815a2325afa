//! The producer, as its clients see it, and one of our own whose log we can read.

use std::process::Stdio;

use baton_test_support::OutputLines;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::binaries::Binaries;
use super::stack::Endpoints;
use super::{eventually, http};

/// The address of every customer in these tests, and the part of it that nothing may ever show.
pub(crate) const ADDRESS: &str = "zoe.quill@example.com";
pub(crate) const SECRET: &str = "zoe.quill";

/// Talks to a producer.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    url: String,
}

/// What the producer answers.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) message_id: String,
    pub(crate) trace_id: String,
}

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
        }
    }

    /// Has a customer taken on.
    pub(crate) async fn onboard(&self, customer_id: &str) -> Accepted {
        self.onboard_with(&onboarding(customer_id), &[]).await
    }

    /// Has these customers taken on, one after the other.
    pub(crate) async fn onboard_each(&self, customers: &[&str]) -> Vec<Accepted> {
        let mut accepted = Vec::new();
        for customer in customers {
            accepted.push(self.onboard(customer).await);
        }
        accepted
    }

    /// Has a customer taken on who names himself as his referrer: the function never accepts that.
    pub(crate) async fn onboard_poison(&self, customer_id: &str) -> Accepted {
        let mut body = onboarding(customer_id);
        body["referrer"] = json!(customer_id);
        self.onboard_with(&body, &[]).await
    }

    pub(crate) async fn onboard_with(&self, body: &Value, headers: &[(&str, &str)]) -> Accepted {
        let url = format!("{}/onboarding", self.url);
        accepted(&http::post_json(&url, headers, &body.to_string()).await)
    }

    /// Sends a request that must be refused.
    pub(crate) async fn try_in_vain(&self, path: &str, body: &str) {
        let answer = http::post_json(&format!("{}{path}", self.url), &[], body).await;
        assert!(
            answer.status.is_client_error() && !answer.body.contains(SECRET),
            "{answer:?}"
        );
    }

    pub(crate) async fn smoke_test(&self) -> Accepted {
        accepted(&http::post_json(&format!("{}/telemetry/smoke", self.url), &[], "").await)
    }
}

pub(crate) fn onboarding(customer_id: &str) -> Value {
    json!({"customer_id": customer_id, "email": ADDRESS, "plan": "team"})
}

fn accepted(answer: &http::Answer) -> Accepted {
    assert_eq!(answer.status, 202, "{answer:?}");
    let body = answer.json();
    let text = |member: &str| {
        body[member]
            .as_str()
            .unwrap_or_else(|| panic!("{member}: {body}"))
            .to_owned()
    };
    Accepted {
        message_id: text("message_id"),
        trace_id: text("trace_id"),
    }
}

/// A producer beside the stack's own, for its log.
#[derive(Debug)]
pub(crate) struct OwnProducer {
    process: Child,
    log: OutputLines,
}

impl OwnProducer {
    pub(crate) fn start(endpoints: &Endpoints) -> Self {
        Self::start_with(endpoints, &[])
    }

    /// With further variables, which win over those that it has otherwise.
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

    /// Ends the process and returns all that it wrote.
    pub(crate) async fn into_log(mut self) -> String {
        self.process.kill().await.unwrap();
        self.log.text()
    }
}

fn listening(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["message"] == "listening").then(|| line["address"].as_str().unwrap().to_owned())
}
