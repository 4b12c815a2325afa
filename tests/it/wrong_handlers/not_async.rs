use baton_lambda::{Error, Failure, Message};

fn handle(_: Message<String>) -> Result<(), Failure> {
    Ok(())
}

pub async fn start() -> Result<(), Error> {
    baton_lambda::run(handle).await
}
