use baton_lambda::{Error, Message};

struct NotAnError;

async fn handle(_: Message<String>) -> Result<(), NotAnError> {
    Ok(())
}

pub async fn start() -> Result<(), Error> {
    baton_lambda::run(handle).await
}
