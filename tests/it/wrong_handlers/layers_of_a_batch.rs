use std::sync::Arc;

use baton_lambda::{Consumer, Error, Failure, Messages};

async fn handle(_: Arc<Messages<String>>) -> Result<(), Failure> {
    Ok(())
}

pub async fn start() -> Result<(), Error> {
    Consumer::builder().layer(()).run_batch(handle).await
}
