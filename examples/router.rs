//! A queue with several types of messages.
//!
//! The message attribute `type` selects the handler, and the body is decoded into the type of that
//! handler. A message of an unknown type fails permanently; `otherwise` would add a handler for
//! such messages. The span of each message has its type in `baton.message.type`.

use baton_lambda::{Failure, Message, Router};
use serde::Deserialize;

#[derive(Deserialize)]
struct Created {
    id: String,
    quantity: u32,
}

#[derive(Deserialize)]
struct Cancelled {
    id: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), baton_lambda::Error> {
    baton_lambda::run(router()).await
}

fn router() -> Router<()> {
    Router::by_attribute("type")
        .route("order.created", on_created)
        .route("order.cancelled", on_cancelled)
}

async fn on_created(message: Message<Created>) -> Result<(), Failure> {
    let order = message.body;
    tracing::info!(
        order_id = order.id,
        quantity = order.quantity,
        "order created"
    );
    Ok(())
}

async fn on_cancelled(message: Message<Cancelled>) -> Result<(), Failure> {
    tracing::info!(order_id = message.body.id, "order cancelled");
    Ok(())
}

#[cfg(test)]
mod tests {
    use baton_lambda::testing::{Batch, Record};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn each_message_reaches_the_handler_of_its_type() {
        let record = |name: &str, body| Record::json(body).attribute("type", name);
        let batch = Batch::standard("orders")
            .record(record("order.created", json!({"id": "1", "quantity": 2})))
            .record(record("order.cancelled", json!({"id": "1"})))
            .record(record("order.paid", json!({"id": "1"})));
        let outcome = batch.run(router()).await;
        assert_eq!(outcome.failed(), ["message-3"]);
        let failure = outcome.failure("message-3").unwrap();
        assert_eq!(failure.error_type, "unknown_message_type");
        let span = outcome.record_span("message-2").unwrap();
        assert_eq!(span.attributes["baton.message.type"], "order.cancelled");
    }
}
