use baton_lambda::{Error, Failure, Message};

struct Order;

async fn handle(_: Message<Order>) -> Result<(), Failure> {
    Ok(())
}

pub async fn start() -> Result<(), Error> {
    baton_lambda::run(handle).await
}
