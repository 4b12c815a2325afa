//! A minimal function, with tests.
//!
//! The handler gets one message, with its body decoded from JSON. Its result affects only this
//! message: after `Ok` SQS deletes it, and after `Err` SQS redelivers it. (This requires
//! `ReportBatchItemFailures` on the event source mapping.) The message's span is a child of the
//! producer's span. The tests run the handler as Lambda does, without Lambda or a network.

use baton_lambda::{Failure, Message};
use serde::Deserialize;

#[derive(Deserialize)]
struct Order {
    id: String,
    quantity: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), baton_lambda::Error> {
    baton_lambda::run(handle).await
}

async fn handle(message: Message<Order>) -> Result<(), Failure> {
    let order = &message.body;
    if order.quantity == 0 {
        return Err(Failure::permanent("empty_order", "nothing was ordered"));
    }
    tracing::info!(order_id = order.id, "order accepted");
    Ok(())
}

#[cfg(test)]
mod tests {
    use baton_lambda::testing::Batch;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_order_is_accepted() {
        let batch = Batch::standard("orders").message(json!({"id": "1", "quantity": 2}));
        let outcome = batch.run(handle).await;
        assert!(outcome.failed().is_empty());
        assert_eq!(outcome.spans()[0].name, "process orders");
    }

    #[tokio::test]
    async fn an_empty_order_fails_only_its_message() {
        let batch = Batch::standard("orders")
            .message(json!({"id": "1", "quantity": 2}))
            .message(json!({"id": "2", "quantity": 0}));
        let outcome = batch.run(handle).await;
        assert_eq!(outcome.failed(), ["message-2"]);
        let span = outcome.record_span("message-2").unwrap();
        assert_eq!(span.attributes["error.type"], "empty_order");
    }
}
