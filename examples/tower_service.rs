//! The consumer as a tower service.
//!
//! Use it in a program that assembles the Lambda runtime itself, for example to add its own layer
//! around each batch. Otherwise [`baton_lambda::run`] is shorter and faster. The flush layer is the
//! outermost one: with `BATON_FLUSH_POINT=after-response` it flushes after everything inside it is
//! done, including the response.

use baton_lambda::{Consumer, Failure, Message};
use lambda_runtime::{Error, LambdaEvent, Runtime};
use serde::Deserialize;
use tower::ServiceBuilder;

#[derive(Deserialize)]
struct Order {
    quantity: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let consumer = Consumer::builder().service(handle).await?;
    let flush = consumer.flush_layer();
    let service = ServiceBuilder::new()
        .map_request(|event: LambdaEvent<_>| {
            tracing::info!(request_id = event.context.request_id, "batch received");
            event
        })
        .service(consumer);
    Runtime::new(service).layer(flush).run().await
}

async fn handle(message: Message<Order>) -> Result<(), Failure> {
    match message.body.quantity {
        0 => Err(Failure::permanent("empty_order", "nothing was ordered")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use baton_lambda::testing::Batch;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_empty_order_fails() {
        let batch = Batch::standard("orders").message(json!({"quantity": 0}));
        let outcome = batch.run(handle).await;
        assert_eq!(
            outcome.failure("message-1").unwrap().error_type,
            "empty_order"
        );
    }
}
