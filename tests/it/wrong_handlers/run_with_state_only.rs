use std::sync::Arc;

use baton_lambda::testing::Batch;
use baton_lambda::{Failure, Message};

async fn handle(_: Message<String>, _: Arc<String>) -> Result<(), Failure> {
    Ok(())
}

pub async fn test() {
    Batch::standard("orders")
        .run_with(Arc::new(String::new()), handle)
        .await;
}
