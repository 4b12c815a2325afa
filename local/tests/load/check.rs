use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use baton_local::AllowedHosts;
use baton_local::stack::SqsEndpoint;
use tokio::time::sleep;

use crate::support::{FakeService, LoadRun, command, load, run};

const LOAD: [&str; 3] = ["--rate=50", "--duration=400ms", "--settle-timeout=1s"];

/// Two queues, and a service that accepts requests.
struct Queues {
    endpoint: SqsEndpoint,
    client: Client,
    queue: String,
    dead_letter_queue: String,
    service: FakeService,
}

impl Queues {
    async fn start() -> Self {
        let endpoint = SqsEndpoint::start(0, &AllowedHosts::default())
            .await
            .unwrap();
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(endpoint.url())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let client = Client::from_conf(config);
        let queue = create(&client, "orders").await;
        let dead_letter_queue = create(&client, "orders-dlq").await;
        let service = FakeService::start().await;
        Self {
            endpoint,
            client,
            queue,
            dead_letter_queue,
            service,
        }
    }

    async fn send(&self, queue: &str) {
        let message = self
            .client
            .send_message()
            .queue_url(queue)
            .message_body("{}");
        message.send().await.unwrap();
    }

    async fn wait_for_a_request(&self) {
        while self.service.received().is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn load(&self, arguments: &[&str]) -> LoadRun {
        load(&self.service.url, &[&LOAD, arguments].concat()).await
    }
}

async fn create(client: &Client, name: &str) -> String {
    let created = client.create_queue().queue_name(name).send().await;
    created.unwrap().queue_url.unwrap()
}

#[tokio::test]
async fn messages_that_left_the_queue_are_processed() {
    let queues = Queues::start().await;
    // Messages of others, from before the run.
    queues.send(&queues.queue).await;
    queues.send(&queues.dead_letter_queue).await;
    let queue = format!("--queue-url={}", queues.queue);
    let dead_letters = format!("--dead-letter-queue-url={}", queues.dead_letter_queue);
    let run = queues.load(&[&queue, &dead_letters]).await;
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let check = &run.report["check"];
    assert_eq!(check["result"], "complete");
    assert_eq!(check["source"], "queues");
    assert_eq!(
        (&check["processed"], &check["dead_lettered"]),
        (&20.into(), &0.into())
    );
}

#[tokio::test]
async fn messages_that_stay_in_the_queue_fail_the_run() {
    let queues = Queues::start().await;
    let queue = format!("--queue-url={}", queues.queue);
    let arguments = [&*queue];
    let send_during_the_run = async {
        queues.wait_for_a_request().await;
        queues.send(&queues.queue).await;
    };
    let (run, ()) = tokio::join!(queues.load(&arguments), send_during_the_run);
    assert_eq!(run.code(), Some(1), "{}", run.stderr());
    let check = &run.report["check"];
    assert_eq!(check["result"], "incomplete", "{check}");
    assert_eq!(
        (&check["queued"], &check["unaccounted"]),
        (&1.into(), &1.into())
    );
    assert!(check["dead_lettered"].is_null(), "{check}");
}

#[tokio::test]
async fn the_check_is_unknown_without_a_queue_and_an_error_with_a_wrong_one() {
    let queues = Queues::start().await;
    let run = load(&queues.service.url, &LOAD).await;
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert_eq!(run.report["check"]["result"], "unknown");
    let reason = run.report["check"]["reason"].as_str().unwrap();
    assert!(reason.contains("--queue-url"), "{reason}");
    let wrong = format!("--queue-url={}-of-others", queues.queue);
    let run = queues.load(&[&wrong]).await;
    assert_eq!(run.code(), Some(4), "{}", run.stderr());
    assert!(
        run.stderr().contains("cannot read the length of the queue"),
        "{}",
        run.stderr()
    );
}

#[tokio::test]
async fn counts_that_cannot_be_read_after_the_run_fail_it() {
    let queues = Queues::start().await;
    let queue = format!("--queue-url={}", queues.queue);
    let running = command(&queues.service.url, &[&LOAD[..], &[&queue]].concat());
    let running = tokio::spawn(run(running));
    queues.wait_for_a_request().await;
    queues.endpoint.stop().await;
    let run = running.await.unwrap();
    assert_eq!(run.code(), Some(1), "{}", run.stderr());
    assert_eq!(run.report["requests"]["failed"], 0);
    assert_eq!(run.report["check"]["result"], "failed");
    assert!(
        run.stderr().contains("the check failed"),
        "{}",
        run.stderr()
    );
}

#[cfg(not(feature = "dynamodb"))]
#[tokio::test]
async fn a_table_needs_a_feature() {
    let run = load("http://127.0.0.1:1/", &["--table=customers"]).await;
    assert_eq!(run.code(), Some(2), "{}", run.stderr());
    let error = "--table needs the feature dynamodb";
    assert!(run.stderr().contains(error), "{}", run.stderr());
}
