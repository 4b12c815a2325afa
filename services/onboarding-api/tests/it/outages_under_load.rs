use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use baton_test_support::{FakeSqs, SqsResponse};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::client::{KeptConnection, TestResponse};
use crate::support::process::ApiProcess;

const CLIENTS: usize = 32;
/// Number of messages that are accepted before the next outage.
const RECOVERY: usize = 10 * CLIENTS;
const OUTAGE: Duration = Duration::from_millis(500);

/// Sends onboardings until `is_over`. Returns the customer ids and the responses; `None` for a
/// request without one.
async fn onboard_until(
    address: SocketAddr,
    client: usize,
    is_over: Arc<AtomicBool>,
) -> Vec<(String, Option<TestResponse>)> {
    let mut connection = KeptConnection::open(address).await;
    let mut results = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        let customer = format!("c-{client}-{}", results.len());
        let response = connection.onboard(&customer).await;
        let is_closed = response.is_none();
        results.push((customer, response));
        if is_closed {
            break;
        }
    }
    results
}

fn customer_id(message: &Value) -> String {
    let message: Value = serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap();
    message["customer_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_outage_of_sqs_reaches_no_client_and_loses_no_message() {
    let sqs = FakeSqs::start().await.unwrap();
    let process = ApiProcess::start(&sqs, &[("OTEL_TRACES_EXPORTER", "none")]).await;
    let (address, is_over) = (process.address, Arc::new(AtomicBool::new(false)));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(onboard_until(address, client, Arc::clone(&is_over)));
    }
    for failure in [
        SqsResponse::Error(500, "InternalError", "InternalError"),
        SqsResponse::Close,
        SqsResponse::LostResponse,
        SqsResponse::Error(400, "RequestThrottled", "RequestThrottled"),
        SqsResponse::FailedEntry(0, "InternalError", false),
        SqsResponse::UnmentionedEntry(0),
        SqsResponse::Hang,
    ] {
        let before = sqs.accepted().len();
        sqs.respond_always(Some(failure));
        sleep(OUTAGE).await;
        sqs.respond_always(None);
        // The messages of the outage have been sent again by then.
        while sqs.accepted().len() < before + RECOVERY {
            sleep(Duration::from_millis(5)).await;
        }
    }
    is_over.store(true, Ordering::SeqCst);
    let results: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    process.terminate().await;
    process.into_log().await;
    let others: Vec<_> = results
        .iter()
        .filter(|(_, response)| {
            response
                .as_ref()
                .is_none_or(|response| response.status != 202)
        })
        .collect();
    assert!(others.is_empty(), "{others:?}");
    let sent: HashSet<String> = sqs.accepted().iter().map(customer_id).collect();
    let lost: Vec<_> = results
        .iter()
        .filter(|(id, _)| !sent.contains(id))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
}
