use baton_lambda::{Error, Failure, Message};

async fn handle(_: Message<String>) -> Result<String, Failure> {
    Ok(String::new())
}

pub async fn start() -> Result<(), Error> {
    baton_lambda::run(handle).await
}
