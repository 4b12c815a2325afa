//! Options set with the builder.
//!
//! Options of the builder take precedence over the environment (`BATON_*`), which takes precedence
//! over the defaults. Twenty concurrent messages suit a handler that mostly waits. A flush takes at
//! most half a second if the collector is slow. The event source mapping has no
//! `ReportBatchItemFailures`, so one failed message fails the whole batch.

use std::num::NonZeroUsize;
use std::time::Duration;

use baton_lambda::{Consumer, ConsumerBuilder, Failure, Message, PartialResponse};
use serde_json::Value;

const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(20).unwrap();
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), baton_lambda::Error> {
    consumer().run(handle).await
}

/// Returns the options. `main` and the tests use the same ones.
fn consumer() -> ConsumerBuilder<()> {
    Consumer::builder()
        .concurrency(CONCURRENCY)
        .flush_timeout(FLUSH_TIMEOUT)
        .partial_response(PartialResponse::Off)
}

async fn handle(message: Message<Value>) -> Result<(), Failure> {
    match message.body["id"].as_str() {
        Some(_) => Ok(()),
        None => Err(Failure::permanent("missing_id", "the order has no id")),
    }
}

#[cfg(test)]
mod tests {
    use baton_lambda::testing::Batch;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn one_message_fails_the_whole_batch() {
        let batch = Batch::standard("orders")
            .message(json!({"id": "1"}))
            .message(json!({}));
        let outcome = batch.run_with(consumer(), handle).await;
        assert_eq!(outcome.response().unwrap_err(), "1 of 2 messages failed");
        assert_eq!(outcome.failed(), ["message-1", "message-2"]);
    }
}
