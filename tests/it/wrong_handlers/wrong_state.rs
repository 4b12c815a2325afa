use std::sync::Arc;

use baton_lambda::{Consumer, Error, Failure, Message};

struct Store;

async fn handle(_: Message<String>, _: Arc<String>) -> Result<(), Failure> {
    Ok(())
}

pub async fn start() -> Result<(), Error> {
    Consumer::builder().state(Arc::new(Store)).run(handle).await
}
