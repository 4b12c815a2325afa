//! State that handlers share.
//!
//! A handler with a second argument gets a clone of what the builder was given: clients, pools,
//! caches, behind an `Arc`. It lives as long as the process, so from one invocation to the next.
//! Here it is a table of prices; an error of the lookup turns into a retryable failure with `?`,
//! because any `std::error::Error` does.

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
#[error("the article has no price yet")]
struct UnknownArticle;

impl Prices {
    fn of(&self, article: &str) -> Result<u32, UnknownArticle> {
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
    let price = prices.of(&message.body.article)?;
    let total = u64::from(price) * u64::from(message.body.quantity);
    tracing::info!(total, "order priced");
    Ok(())
}
