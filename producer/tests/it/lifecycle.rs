use std::process::Stdio;
use std::time::Duration;

use baton_producer::api::Drain;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::fake_sqs::Reply;
use crate::support::{Api, VALID, client};

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onboarding-api"));
    command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
    // Neither a file of this machine's user nor the metadata service of a cloud has a say in a test.
    command
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

#[tokio::test]
async fn a_stopping_server_finishes_what_it_accepted() {
    let api = Api::start().await;
    let (address, sqs) = (api.address, api.sqs.clone());
    sqs.reply_with([Reply::Held]);
    let request = tokio::spawn(client_request(address));
    sqs.call_arrived().await;
    let server = api.begin_stop();
    refused(address).await;
    sqs.release();
    assert_eq!(request.await.unwrap(), 202);
    assert_eq!(server.await.unwrap(), Drain::Complete);
}

#[tokio::test]
async fn a_stopping_server_does_not_wait_for_ever() {
    let api = Api::with_shutdown_timeout(Duration::from_millis(50)).await;
    api.sqs.reply_with([Reply::Held]);
    let request = tokio::spawn(client_request(api.address));
    api.sqs.call_arrived().await;
    assert_eq!(api.stop().await, Drain::TimedOut);
    request.abort();
}

#[tokio::test]
async fn bad_configuration_ends_the_binary_with_its_own_code() {
    let ended = binary()
        .env("QUEUE_URL", "nonsense")
        .env("AWS_REGION", "eu-west-1")
        .output()
        .await
        .unwrap();
    assert_eq!(ended.status.code(), Some(78), "{ended:?}");
}

async fn client_request(address: std::net::SocketAddr) -> u16 {
    client::request(address, "POST", "/onboarding", &[client::JSON], VALID)
        .await
        .status
        .as_u16()
}

/// Returns once connections are refused.
async fn refused(address: std::net::SocketAddr) {
    for _ in 0..100 {
        if TcpStream::connect(address).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server still accepts");
}
