use std::sync::Arc;

use baton_lambda::{Error, Failure, Message};

async fn handle(_: Message<String>, _: Arc<String>) -> Result<(), Failure> {
    Ok(())
}

pub async fn start() -> Result<(), Error> {
    baton_lambda::run(handle).await
}
