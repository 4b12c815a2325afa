//! State that is shared by all messages.
//!
//! A handler with a second argument gets a clone of the state that the builder was given. Clients,
//! pools and caches are usually behind an `Arc`. The state lives as long as the process, and is
//! shared by all invocations. In this example it is a table of prices. `?` converts the error of
//! the lookup into a retryable failure, as it does for any `std::error::Error`.

use std::collections::HashMap;
use std::sync::Arc;

use baton_lambda::{Consumer, Failure, Message};
use serde::Deserialize;

struct Prices(HashMap<&'static str, u32>);

#[derive(Deserialize)]
struct Order {
    article: String,
    quantity: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("the article has no price")]
struct UnknownArticle;

impl Prices {
    fn find(&self, article: &str) -> Result<u32, UnknownArticle> {
        self.0.get(article).copied().ok_or(UnknownArticle)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), baton_lambda::Error> {
    let prices = Prices(HashMap::from([("pen", 2), ("ink", 9)]));
    let consumer = Consumer::builder().state(Arc::new(prices));
    consumer.run(handle).await
}

async fn handle(message: Message<Order>, prices: Arc<Prices>) -> Result<(), Failure> {
    let price = prices.find(&message.body.article)?;
    let total = u64::from(price) * u64::from(message.body.quantity);
    tracing::info!(total, "order priced");
    Ok(())
}

#[cfg(test)]
mod tests {
    use baton_lambda::testing::Batch;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_article_without_a_price_fails() {
        let prices = Prices(HashMap::from([("pen", 2)]));
        let consumer = Consumer::builder().state(Arc::new(prices));
        let batch = Batch::standard("orders")
            .message(json!({"article": "pen", "quantity": 3}))
            .message(json!({"article": "ink", "quantity": 1}));
        let outcome = batch.run_with(consumer, handle).await;
        assert_eq!(outcome.failed(), ["message-2"]);
        let failure = outcome.failure("message-2").unwrap();
        assert_eq!(failure.description, "the article has no price");
    }
}
