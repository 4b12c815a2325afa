//! The ledger in which payments are booked.
//!
//! It does not depend on how the function gets its messages, so `before.rs` and `after.rs` use it
//! unchanged.

use std::collections::HashMap;
use std::env::VarError;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;

/// A client for the ledger's API.
#[derive(Debug)]
pub(crate) struct Ledger {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

/// Error of a booking.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    #[error("the ledger rejected the payment with status {0}")]
    Rejected(StatusCode),
    #[error("the ledger is not available: status {0}")]
    Unavailable(StatusCode),
    #[error("the ledger is not reachable")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
}

impl Ledger {
    /// Creates a client for the ledger at `LEDGER_URL`.
    pub(crate) fn from_env() -> Result<Self, VarError> {
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            url: std::env::var("LEDGER_URL")?,
        })
    }

    /// Books an amount for an account, with the headers of the trace context.
    pub(crate) async fn book(
        &self,
        account: &str,
        cents: u64,
        trace_headers: &HashMap<String, String>,
    ) -> Result<(), LedgerError> {
        let body = json!({"account": account, "cents": cents}).to_string();
        let mut request = Request::post(format!("{}/bookings", self.url));
        for (name, value) in trace_headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::from(body));
        // The URL is a valid one, and a propagator writes only valid headers.
        let request = request.map_err(|_| LedgerError::Rejected(StatusCode::BAD_REQUEST))?;
        match self.client.request(request).await?.status() {
            status if status.is_success() => Ok(()),
            status if status.is_server_error() => Err(LedgerError::Unavailable(status)),
            status => Err(LedgerError::Rejected(status)),
        }
    }
}
