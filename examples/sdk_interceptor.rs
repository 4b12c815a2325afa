//! An AWS SDK client whose messages carry the trace: the handler sends a message to another queue
//! for each item of an order, in batches of ten.
//!
//! The interceptor of `baton-producer` creates the spans and adds the context to the message
//! attributes, so the handler contains no code for the trace. Each message has a span `create` with
//! its id, and each call a span `send`; both are children of the record span, which is active in
//! the handler. `SHIPMENT_QUEUE_URL` is the URL of the queue. The SDK finds the region and the
//! credentials itself.

use std::error::Error;
use std::sync::Arc;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use baton_lambda::{Consumer, Failure, Message, ResultExt as _};
use baton_producer::TraceInterceptor;
use serde::Deserialize;

const QUEUE_URL: &str = "SHIPMENT_QUEUE_URL";

/// Maximum number of messages in a call (SQS quotas).
const MAX_ENTRIES: usize = 10;

/// The `error.type` of an order of which not all shipments were sent.
const NOT_SENT: &str = "shipment_not_sent";

#[derive(Deserialize)]
struct Order {
    items: Vec<String>,
}

struct Shipments {
    client: Client,
    queue_url: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let queue_url = std::env::var(QUEUE_URL).map_err(|error| format!("{QUEUE_URL}: {error}"))?;
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
            aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .http_client(http_client)
        .load()
        .await;
    let config = Builder::from(&config).interceptor(TraceInterceptor::new());
    let shipments = Shipments {
        client: Client::from_conf(config.build()),
        queue_url,
    };
    let consumer = Consumer::builder().state(Arc::new(shipments));
    Ok(consumer.run(handle).await?)
}

async fn handle(message: Message<Order>, shipments: Arc<Shipments>) -> Result<(), Failure> {
    for items in message.body.items.chunks(MAX_ENTRIES) {
        shipments.send(items).await?;
    }
    Ok(())
}

impl Shipments {
    async fn send(&self, items: &[String]) -> Result<(), Failure> {
        let mut batch = self.client.send_message_batch().queue_url(&self.queue_url);
        for (index, item) in items.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(serde_json::json!({"item": item}).to_string())
                .build();
            batch = batch.entries(entry.retry(NOT_SENT)?);
        }
        let sent = batch.send().await.retry(NOT_SENT)?;
        // The SDK reports a call as successful even if SQS did not accept some of its messages.
        match sent.failed().first() {
            Some(failed) => Err(Failure::retry(NOT_SENT, failed.code())),
            None => Ok(()),
        }
    }
}
