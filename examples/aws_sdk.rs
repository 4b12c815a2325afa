//! An AWS SDK call that propagates the trace: the handler sends a message to another queue for each
//! order.
//!
//! The PRODUCER span is a child of the record span, which is active in the handler. The global
//! propagator writes its context into the message attributes, so that the consumer of the message
//! continues the trace. The context needs up to three of the ten message attributes that SQS
//! allows, so a message should have at most seven others. `FOLLOW_UP_QUEUE_URL` is the URL of the
//! queue. The SDK finds the region and the credentials itself.

use std::error::Error;
use std::sync::Arc;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::send_message::builders::SendMessageFluentBuilder;
use aws_sdk_sqs::types::MessageAttributeValue;
use baton_lambda::{Consumer, Failure, Message};
use opentelemetry::propagation::Injector;
use opentelemetry::trace::{FutureExt as _, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_semantic_conventions::attribute as key;
use serde::Deserialize;

const QUEUE_URL: &str = "FOLLOW_UP_QUEUE_URL";

#[derive(Deserialize)]
struct Order {
    id: String,
}

struct FollowUps {
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
    let follow_ups = FollowUps {
        client: Client::new(&config),
        queue_url,
    };
    let consumer = Consumer::builder().state(Arc::new(follow_ups));
    Ok(consumer.run(handle).await?)
}

async fn handle(message: Message<Order>, follow_ups: Arc<FollowUps>) -> Result<(), Failure> {
    let body = serde_json::json!({"accepted": message.body.id}).to_string();
    follow_ups.send(body).await
}

impl FollowUps {
    async fn send(&self, body: String) -> Result<(), Failure> {
        let tracer = global::tracer("follow-ups");
        let queue = self.queue_url.rsplit('/').next().unwrap_or_default();
        let span = tracer
            .span_builder(format!("send {queue}"))
            .with_kind(SpanKind::Producer)
            .with_attributes([
                KeyValue::new(key::MESSAGING_SYSTEM, "aws_sqs"),
                KeyValue::new(key::MESSAGING_OPERATION_NAME, "send"),
                KeyValue::new(key::MESSAGING_OPERATION_TYPE, "send"),
                KeyValue::new(key::MESSAGING_DESTINATION_NAME, queue.to_owned()),
                KeyValue::new(key::AWS_SQS_QUEUE_URL, self.queue_url.clone()),
            ])
            .start(&tracer);
        let context = Context::current_with_span(span);
        let message = self.client.send_message().queue_url(&self.queue_url);
        let mut carrier = Carrier(message.message_body(body));
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(&context, &mut carrier);
        });
        let sent = carrier.0.send().with_context(context.clone()).await;
        let span = context.span();
        match &sent {
            Ok(sent) => span.set_attributes(
                sent.message_id()
                    .map(|id| KeyValue::new(key::MESSAGING_MESSAGE_ID, id.to_owned())),
            ),
            Err(error) => {
                let code = error
                    .as_service_error()
                    .and_then(|error| error.meta().code());
                let error_type = code.unwrap_or("_OTHER").to_owned();
                span.set_attribute(KeyValue::new(key::ERROR_TYPE, error_type));
                span.set_status(Status::error(error.to_string()));
            }
        }
        span.end();
        sent.map(drop)
            .map_err(|error| Failure::retry("follow_up_not_sent", error))
    }
}

/// Carrier that adds message attributes. The propagator writes no empty values, which SQS would
/// reject.
struct Carrier(SendMessageFluentBuilder);

impl Injector for Carrier {
    fn set(&mut self, name: &str, value: String) {
        let attribute = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(value)
            .build();
        // The build fails only without a data type.
        if let Ok(attribute) = attribute {
            self.0 = self.0.clone().message_attributes(name, attribute);
        }
    }
}
