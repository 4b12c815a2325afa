//! Errors with a class for each type, and a time limit for each message.
//!
//! The handler returns `anyhow::Result<()>`. The consumer gives each type of error its class. A
//! message that fails permanently is sent to the dead-letter queue, or redelivered until the
//! redrive policy moves it. A message whose failure is retryable is redelivered. Errors are found
//! through contexts. The layer limits the time of each message; its error is classified like any
//! other.

use std::time::Duration;

use anyhow::Context as _;
use baton_lambda::{Class, Consumer, ConsumerBuilder, HandlerLayers, Message, ResultExt as _};
use serde::Deserialize;
use tower::timeout::TimeoutLayer;
use tower::timeout::error::Elapsed;

const TIME_LIMIT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Customer {
    email: String,
    credit: String,
}

#[derive(Debug, thiserror::Error)]
enum StoreError {
    #[error("the customer already exists")]
    Exists,
    #[error("the store is busy")]
    Busy,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), baton_lambda::Error> {
    consumer().run(handle).await
}

/// Returns the options, layers and classes. `main` and the tests use the same ones.
fn consumer() -> ConsumerBuilder<(), impl HandlerLayers<Customer>> {
    Consumer::builder()
        .layer(TimeoutLayer::new(TIME_LIMIT))
        .classify(|_: &Elapsed| Class::retry("timeout"))
        .classify(|error: &StoreError| match error {
            StoreError::Exists => Class::permanent("customer_exists"),
            StoreError::Busy => Class::retry("store_busy"),
        })
}

async fn handle(message: Message<Customer>) -> anyhow::Result<()> {
    let customer = message.body;
    // This error has no classifier, because other functions use the same type.
    let credit: u32 = customer.credit.parse().permanent("invalid_credit")?;
    store(&customer.email, credit)
        .await
        .context("cannot onboard the customer")
}

/// Simulates a request to a database.
async fn store(email: &str, _credit: u32) -> Result<(), StoreError> {
    match email {
        "ada@example.com" => Err(StoreError::Exists),
        "bob@example.com" => Err(StoreError::Busy),
        "eve@example.com" => std::future::pending().await,
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use baton_lambda::FailureKind::{Permanent, Retryable};
    use baton_lambda::testing::Batch;
    use serde_json::json;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_error_has_its_class() {
        let customer = |email: &str, credit: &str| json!({"email": email, "credit": credit});
        let batch = Batch::standard("customers")
            .message(customer("ada@example.com", "1"))
            .message(customer("bob@example.com", "1"))
            .message(customer("eve@example.com", "1"))
            .message(customer("dan@example.com", "much"))
            .message(customer("dan@example.com", "1"));
        let outcome = batch.run_with(consumer(), handle).await;
        for (id, kind, error_type) in [
            ("message-1", Permanent, "customer_exists"),
            ("message-2", Retryable, "store_busy"),
            ("message-3", Retryable, "timeout"),
            ("message-4", Permanent, "invalid_credit"),
        ] {
            let failure = outcome.failure(id).unwrap();
            assert_eq!((failure.kind, &*failure.error_type), (kind, error_type));
        }
        assert_eq!(outcome.failure("message-5"), None);
        let text = &outcome.failure("message-1").unwrap().description;
        assert_eq!(
            text,
            "cannot onboard the customer: the customer already exists"
        );
    }
}
