use std::sync::Arc;

use baton_lambda::{Error, Failure, Messages};

async fn handle(_: Arc<Messages<String>>) -> Result<(), Failure> {
    Ok(())
}

pub async fn start() -> Result<(), Error> {
    baton_lambda::run(handle).await
}
