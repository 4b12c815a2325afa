//! A Lambda function that handles the orders of an SQS queue.

use baton_lambda::{Failure, Message};

/// The body of a message.
#[derive(serde::Deserialize)]
struct Order {
    id: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), baton_lambda::Error> {
    baton_lambda::run(handle).await
}

/// Handles one message. An error or a panic fails only this message.
async fn handle(message: Message<Order>) -> Result<(), Failure> {
    if message.body.id.is_empty() {
        return Err(Failure::permanent("missing_id", "the order has no id"));
    }
    tracing::info!(order = message.body.id, "handled");
    Ok(())
}

#[cfg(test)]
mod tests {
    use baton_lambda::testing::Batch;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_order_is_handled() {
        let batch = Batch::standard("orders").message(json!({"id": "1"}));
        let outcome = batch.run(handle).await;
        assert!(outcome.failed().is_empty());
        assert_eq!(outcome.spans()[0].name, "process orders");
    }

    #[tokio::test]
    async fn only_the_order_without_an_id_fails() {
        let batch = Batch::standard("orders")
            .message(json!({"id": ""}))
            .message(json!({"id": "2"}));
        let outcome = batch.run(handle).await;
        assert_eq!(outcome.failed().len(), 1);
    }
}
