use std::sync::Arc;

use baton_lambda::testing::Batch;
use baton_lambda::{Consumer, Failure, Message};

async fn handle(_: Message<String>, _: Arc<String>) -> Result<(), Failure> {
    Ok(())
}

pub async fn test() {
    Batch::standard("orders")
        .run_with(Consumer::builder(), handle)
        .await;
}
