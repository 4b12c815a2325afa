//! A handler of whole batches, for a store that writes many rows in one request.
//!
//! The store reports the rows that it has not written, and the handler fails their messages. If the
//! request itself fails, the whole batch fails. The handler runs in the batch span; each message
//! still has its own span in the trace of its producer. FIFO queues, deadlines and partial
//! responses work as for single messages.

use std::sync::Arc;

use baton_lambda::{Consumer, Failure, Messages};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reading {
    sensor: String,
    value: f64,
}

#[derive(Debug, thiserror::Error)]
#[error("the store is not available")]
struct StoreDown;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), baton_lambda::Error> {
    Consumer::builder().run_batch(store_readings).await
}

async fn store_readings(messages: Arc<Messages<Reading>>) -> Result<(), StoreDown> {
    let readings = messages.iter().map(|message| &message.body);
    for position in write(readings).await? {
        messages.fail(position, Failure::retry("throttled", "the store is busy"));
    }
    Ok(())
}

/// Simulates a request that writes many rows. Returns the positions of the rows that were not
/// written.
async fn write(readings: impl Iterator<Item = &Reading>) -> Result<Vec<usize>, StoreDown> {
    let mut unwritten = Vec::new();
    for (position, reading) in readings.enumerate() {
        match reading.sensor.as_str() {
            "down" => return Err(StoreDown),
            _ if reading.value.is_sign_negative() => unwritten.push(position),
            _ => {}
        }
    }
    Ok(unwritten)
}

#[cfg(test)]
mod tests {
    use baton_lambda::testing::Batch;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_row_that_is_not_written_fails_its_message() {
        let batch = Batch::standard("readings")
            .message(json!({"sensor": "a", "value": 1.5}))
            .message(json!({"sensor": "b", "value": -1.0}));
        let outcome = batch.run_batch(store_readings).await;
        assert_eq!(outcome.failed(), ["message-2"]);
    }

    #[tokio::test]
    async fn a_request_that_fails_fails_all_messages() {
        let batch = Batch::standard("readings")
            .message(json!({"sensor": "a", "value": 1.5}))
            .message(json!({"sensor": "down", "value": 1.0}));
        let outcome = batch.run_batch(store_readings).await;
        assert_eq!(outcome.failed(), ["message-1", "message-2"]);
    }
}
