use baton_lambda::{Error, Message};

async fn handle(_: Message<String>) {}

pub async fn start() -> Result<(), Error> {
    baton_lambda::run(handle).await
}
