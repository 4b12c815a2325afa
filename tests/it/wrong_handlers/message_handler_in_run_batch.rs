use baton_lambda::{Consumer, Error, Failure, Message};

async fn handle(_: Message<String>) -> Result<(), Failure> {
    Ok(())
}

pub async fn start() -> Result<(), Error> {
    Consumer::builder().run_batch(handle).await
}
