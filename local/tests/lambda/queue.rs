//! A queue on the local SQS endpoint, and a running mapping.

use std::num::NonZeroUsize;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use baton_local::environment::Lambda;
use baton_local::mapping::{EventSourceMapping, FunctionResponseType, MappingConfig, MappingStats};
use baton_local::sqs;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A queue of an SQS endpoint, which stops with the test's runtime.
pub(crate) struct TestQueue {
    pub(crate) client: Client,
    pub(crate) url: String,
}

impl TestQueue {
    /// Starts an endpoint with a queue of this visibility timeout.
    pub(crate) async fn create(visibility_seconds: u32) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(sqs::serve(
            listener,
            sqs::SqsConfig::default(),
            std::future::pending(),
        ));
        let client = client(&endpoint);
        let created = client
            .create_queue()
            .queue_name("under-test")
            .attributes(
                QueueAttributeName::VisibilityTimeout,
                visibility_seconds.to_string(),
            )
            .send()
            .await
            .unwrap();
        Self {
            client,
            url: created.queue_url.unwrap(),
        }
    }

    /// Uses a queue of a running endpoint.
    pub(crate) fn new(endpoint: &str, url: &str) -> Self {
        Self {
            client: client(endpoint),
            url: url.to_owned(),
        }
    }

    pub(crate) async fn send(&self, bodies: &[&str]) {
        for bodies in bodies.chunks(10) {
            let mut request = self.client.send_message_batch().queue_url(&self.url);
            for (index, body) in bodies.iter().enumerate() {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_body(*body);
                request = request.entries(entry.build().unwrap());
            }
            assert!(request.send().await.unwrap().failed.is_empty());
        }
    }

    /// Returns the number of messages, in flight or not.
    pub(crate) async fn messages(&self) -> usize {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let response = request
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await
            .unwrap();
        let attributes = response.attributes.unwrap();
        names
            .iter()
            .map(|name| attributes[name].parse::<usize>().unwrap())
            .sum()
    }

    pub(crate) fn mapping(&self, batch_size: usize) -> MappingConfig {
        MappingConfig {
            queue_url: self.url.clone(),
            batch_size: NonZeroUsize::new(batch_size).unwrap(),
            batching_window: Duration::ZERO,
            response_type: FunctionResponseType::ReportBatchItemFailures,
            max_concurrency: NonZeroUsize::MIN,
        }
    }
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint)
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .build();
    Client::from_conf(config)
}

/// A mapping that runs until it is stopped.
pub(crate) struct RunningMapping {
    pub(crate) stats: MappingStats,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl RunningMapping {
    pub(crate) async fn start(queue: &TestQueue, lambda: &Lambda, mapping: MappingConfig) -> Self {
        let source = EventSourceMapping::create(mapping, queue.client.clone(), lambda.clone())
            .await
            .unwrap();
        let stats = source.stats();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(source.run(async move { drop(stopped.await) }));
        Self { stats, stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

/// Returns the sizes of the batches that the function has logged.
pub(crate) fn batches(lambda: &Lambda) -> Vec<usize> {
    let lines = lambda.logs().recent();
    lines
        .iter()
        .filter_map(|line| line.text.strip_prefix("batch ")?.parse().ok())
        .collect()
}

/// Returns the records that the function has logged.
pub(crate) fn records(lambda: &Lambda) -> Vec<Value> {
    let lines = lambda.logs().recent();
    lines
        .iter()
        .filter_map(|line| serde_json::from_str(line.text.strip_prefix("record ")?).ok())
        .collect()
}
