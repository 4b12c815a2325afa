//! HTTP server of the endpoint.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use uuid::Uuid;

use super::account::{Account, AccountConfig};
use super::actions::{self, ActionRequest};
use super::config::SqsConfig;
use super::error::SqsError;
use super::metrics;
use super::shared_account::SharedAccount;
use super::wire::ErrorResponse;
use crate::allowed_hosts::{HostCheckError, HostCheckLayer};

/// Largest request. It is large enough that ten messages of the largest size, with JSON escapes,
/// get AWS's `BatchRequestTooLong`.
const MAX_REQUEST_BYTES: usize = 16 << 20;

/// Time for open requests to end after shutdown. Long polls end immediately, so only a client that
/// stalls needs it.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");
const TARGET: &str = "x-amz-target";
const TARGET_PREFIX: &str = "AmazonSQS.";
const TRACE_HEADER: &str = "x-amzn-trace-id";
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// Listeners of the endpoint. A [`TcpListener`] converts into listeners without a separate one for
/// metrics.
#[derive(Debug)]
pub struct Listeners {
    /// Listener for the actions of SQS, which also serves the metrics.
    pub sqs: TcpListener,
    /// Listener for the metrics alone. Unlike the other one, it can be reachable from other
    /// machines without giving them access to messages.
    pub metrics: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(sqs: TcpListener) -> Self {
        Self { sqs, metrics: None }
    }
}

/// Serves SQS on the listeners until `shutdown` completes. Long polls then return without messages,
/// and all queues are dropped.
///
/// # Errors
///
/// Returns an error if the listener's address, which is part of the queue URLs, cannot be read.
pub async fn serve(
    listeners: impl Into<Listeners>,
    config: SqsConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let Listeners {
        sqs: listener,
        metrics,
    } = listeners.into();
    let base_url = match config.base_url {
        Some(base_url) => base_url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", listener.local_addr()?),
    };
    let identity = AccountConfig {
        region: config.region,
        account_id: config.account_id,
        purge_interval: config.purge_interval,
        recreate_after: config.recreate_after,
    };
    let (close, closing) = watch::channel(false);
    let account = Arc::new(SharedAccount::new(
        Account::new(identity),
        base_url,
        closing.clone(),
    ));
    let stop = async move {
        shutdown.await;
        close.send_replace(true);
    };
    // A response is small and the client waits for it, so it must not be delayed until the previous
    // packet is acknowledged.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot disable Nagle's algorithm for a connection");
        }
    });
    let check_host =
        HostCheckLayer::new(config.allowed_hosts.with_sqs_on_aws(), host_error_response);
    let metrics_router = metrics_router(Arc::clone(&account)).layer(check_host.clone());
    let serving =
        axum::serve(listener, router(account).layer(check_host)).with_graceful_shutdown(stop);
    tokio::select! {
        served = async { serving.await } => served,
        served = serve_metrics(metrics, metrics_router) => served,
        () = wait_for_drain(closing) => Ok(()),
    }
}

/// Completes when the time for open requests after shutdown is over.
async fn wait_for_drain(mut closing: watch::Receiver<bool>) {
    // An error means that the sender is dropped because serving has ended.
    let _ = closing.wait_for(|closing| *closing).await;
    tokio::time::sleep(DRAIN_TIMEOUT).await;
}

/// Serves only the metrics, if there is a listener for them. A shutdown does not wait for requests
/// in progress, because they are short.
async fn serve_metrics(listener: Option<TcpListener>, router: Router) -> std::io::Result<()> {
    match listener {
        Some(listener) => axum::serve(listener, router).await,
        None => std::future::pending().await,
    }
}

fn metrics_router(account: Arc<SharedAccount>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(account)
}

fn router(account: Arc<SharedAccount>) -> Router {
    Router::new()
        .route("/", get(ready).post(handle))
        .route("/health", get(ready))
        // Older SDKs post to the queue's URL. The body names the queue too.
        .route("/{account}/{queue}", axum::routing::post(handle))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(Arc::clone(&account))
        .merge(metrics_router(account))
}

async fn metrics(State(account): State<Arc<SharedAccount>>) -> Response {
    match account.access(metrics::format) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot format the metrics of the queues");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn ready() -> &'static str {
    "Baton's SQS endpoint is ready\n"
}

async fn handle(
    State(account): State<Arc<SharedAccount>>,
    method: Method,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let id = Uuid::new_v4().to_string();
    let result = match (action(&headers), body) {
        (Ok(action), Ok(body)) => {
            let trace_header = headers
                .get(TRACE_HEADER)
                .and_then(|value| value.to_str().ok());
            actions::dispatch(
                action,
                &ActionRequest {
                    account: &account,
                    body: &body,
                    trace_header,
                },
            )
            .await
        }
        (Ok(_), Err(_)) => Err(SqsError::Serialization(format!(
            "The request body is incomplete or longer than {MAX_REQUEST_BYTES} bytes."
        ))),
        (Err(error), _) => Err(error),
    };
    let mut response = match result {
        Ok(json) => json.into_response(),
        Err(error) => {
            tracing::debug!(code = error.codes().code, %method, "SQS request rejected");
            error_response(&error)
        }
    };
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn action(headers: &HeaderMap) -> Result<&str, SqsError> {
    let target = headers.get(TARGET).and_then(|value| value.to_str().ok());
    let Some(target) = target else {
        let reason = "The request has no X-Amz-Target header. This endpoint supports the AWS JSON 1.0 protocol, not the query protocol.";
        return Err(SqsError::UnknownOperation(reason.to_owned()));
    };
    target.strip_prefix(TARGET_PREFIX).ok_or_else(|| {
        SqsError::UnknownOperation(format!(
            "The target {target} is not an action of AmazonSQS."
        ))
    })
}

fn host_error_response(error: &HostCheckError, _headers: &HeaderMap) -> Response {
    let error = SqsError::AccessDenied {
        status: error.status().as_u16(),
        message: error.to_string(),
    };
    let mut response = error_response(&error);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn error_response(error: &SqsError) -> Response {
    let codes = error.codes();
    let body = ErrorResponse {
        shape: codes.shape,
        message: error.to_string(),
    };
    let status = StatusCode::from_u16(codes.status).unwrap_or(StatusCode::BAD_REQUEST);
    // A struct of two strings always serialises. Even with an empty body, the header would carry
    // the code.
    let mut response = (status, serde_json::to_vec(&body).unwrap_or_default()).into_response();
    if let Ok(query_error) = HeaderValue::try_from(format!("{};Sender", codes.code)) {
        response.headers_mut().insert(QUERY_ERROR, query_error);
    }
    response
}
