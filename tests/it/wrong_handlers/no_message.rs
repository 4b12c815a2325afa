use baton_lambda::{Error, Failure};

async fn handle(_: String) -> Result<(), Failure> {
    Ok(())
}

pub async fn start() -> Result<(), Error> {
    baton_lambda::run(handle).await
}
