use std::future::ready;
use std::rc::Rc;

use baton_lambda::{Error, Failure, Message};

async fn handle(_: Message<String>) -> Result<(), Failure> {
    let shared = Rc::new(1);
    ready(()).await;
    drop(shared);
    Ok(())
}

pub async fn start() -> Result<(), Error> {
    baton_lambda::run(handle).await
}
