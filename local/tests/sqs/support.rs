//! A running endpoint and its client.

use std::net::SocketAddr;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::purge_queue::PurgeQueueError;
use aws_sdk_sqs::types::{
    Message, MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry,
};
use baton_local::sqs::{Listeners, SqsConfig, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    /// Address of the listener for metrics alone.
    pub(crate) metrics: SocketAddr,
    pub(crate) client: Client,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Endpoint {
    pub(crate) async fn start() -> Self {
        Self::start_with(SqsConfig::default()).await
    }

    pub(crate) async fn start_with(config: SqsConfig) -> Self {
        let (sqs, address) = listen().await;
        let (metrics_listener, metrics) = listen().await;
        let listeners = Listeners {
            sqs,
            metrics: Some(metrics_listener),
        };
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { stopped.await.unwrap_or(()) };
        let serving = tokio::spawn(serve(listeners, config, shutdown));
        Self {
            address,
            metrics,
            client: client(&format!("http://{address}")),
            stop,
            serving,
        }
    }

    /// Shuts the endpoint down and waits until it has stopped.
    pub(crate) async fn stop(self) -> std::io::Result<()> {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap()
    }

    /// Creates a queue and returns its URL.
    pub(crate) async fn queue(
        &self,
        name: &str,
        attributes: &[(QueueAttributeName, &str)],
    ) -> String {
        let mut request = self.client.create_queue().queue_name(name);
        for (name, value) in attributes {
            request = request.attributes(name.clone(), *value);
        }
        request.send().await.unwrap().queue_url.unwrap()
    }

    pub(crate) async fn attribute(&self, url: &str, name: QueueAttributeName) -> String {
        let request = self
            .client
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(name.clone());
        let mut attributes = request.send().await.unwrap().attributes.unwrap();
        attributes.remove(&name).unwrap()
    }

    pub(crate) async fn purge(&self, url: &str) -> Result<(), PurgeQueueError> {
        let purged = self.client.purge_queue().queue_url(url).send().await;
        purged.map(drop).map_err(SdkError::into_service_error)
    }

    pub(crate) async fn send(&self, url: &str, body: &str) {
        self.client
            .send_message()
            .queue_url(url)
            .message_body(body)
            .send()
            .await
            .unwrap();
    }

    /// Receives up to ten messages with all attributes, and waits for one up to five seconds.
    pub(crate) async fn receive(&self, url: &str) -> Vec<Message> {
        let request = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(10)
            .wait_time_seconds(5);
        let request = request
            .message_attribute_names("All")
            .message_system_attribute_names(aws_sdk_sqs::types::MessageSystemAttributeName::All);
        request.send().await.unwrap().messages.unwrap_or_default()
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub(crate) fn batch_entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder()
        .id(id)
        .message_body(body)
        .build()
        .unwrap()
}

pub(crate) fn client(endpoint_url: &str) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "static"))
        .endpoint_url(endpoint_url)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

/// Sends a request as it is and returns the whole response.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

pub(crate) fn text(value: &str) -> MessageAttributeValue {
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value)
        .build()
        .unwrap()
}
