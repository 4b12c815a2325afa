//! Options set with the builder.
//!
//! Options of the builder take precedence over the environment (`BATON_*`), which takes precedence
//! over the defaults. Twenty concurrent messages suit a handler that mostly waits. A flush takes at
//! most half a second if the collector is slow. The event source mapping has no
//! `ReportBatchItemFailures`, so one failed message fails the whole batch.

use std::num::NonZeroUsize;
use std::time::Duration;

use baton_lambda::{Consumer, Failure, Message, PartialResponse};
use serde_json::Value;

const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(20).unwrap();
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), baton_lambda::Error> {
    Consumer::builder()
        .concurrency(CONCURRENCY)
        .flush_timeout(FLUSH_TIMEOUT)
        .partial_response(PartialResponse::Off)
        .run(handle)
        .await
}

async fn handle(message: Message<Value>) -> Result<(), Failure> {
    match message.body["id"].as_str() {
        Some(_) => Ok(()),
        None => Err(Failure::permanent("missing_id", "the order has no id")),
    }
}
