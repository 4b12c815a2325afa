//! HTTP server that starts runs.
//!
//! | Route | Response |
//! |---|---|
//! | `POST /admin/generate-traffic` | starts a run: 202, or 409 while another is in progress |
//! | `GET /admin/generate-traffic` | the state of the current run, or of the last one |
//! | `DELETE /admin/generate-traffic` | stops the run, and waits for its outstanding responses |
//! | `GET /healthz`, `GET /readyz` | 200; needs no token |
//!
//! Errors are problem documents (RFC 9457). The token protects the routes under `/admin/`. A server
//! on a loopback address also compares `Host` and `Origin`, as the listeners of the local stack do.
//! On other addresses it has names that it cannot know, such as that of a Service.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use baton_telemetry::ErrorChain;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use self::problem::{Problem, host_error_response};
use self::runs::{Runs, StartError};
use self::traffic::Traffic;
use self::wire::{Idle, RunState, Status};
use super::report::LoadReport;
use super::schedule::Profile;
use super::target::TargetUrl;
use super::tls::Authorities;
use crate::AllowedHosts;
use crate::allowed_hosts::HostCheckLayer;

mod problem;
mod runs;
mod token;
mod traffic;
mod wire;

pub(crate) use self::token::{InvalidToken, Token};

const TRAFFIC: &str = "/admin/generate-traffic";
/// Maximum size of a body: several times that of the largest valid one.
const MAX_BODY_BYTES: usize = 4 * 1024;
/// Time limit for the body of a request, which is a single packet.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for open requests when the server stops, in addition to the time limit of the load's own
/// requests.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Configuration of the server.
#[derive(Debug)]
pub(crate) struct ApiConfig {
    pub(crate) token: Token,
    pub(crate) url: TargetUrl,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) authorities: Option<Authorities>,
    pub(crate) request_timeout: Duration,
    pub(crate) max_outstanding: usize,
    /// Profile of requests that name none.
    pub(crate) profile: Profile,
    /// True if the function behind the target has the demonstration faults.
    pub(crate) faults_enabled: bool,
    pub(crate) spans: bool,
    /// Logs a line.
    pub(crate) log: fn(fmt::Arguments<'_>),
}

/// Serves requests until `shutdown` completes, stops the run, and returns its report if one was in
/// progress.
///
/// # Errors
///
/// Returns an error if the listener fails.
pub(crate) async fn serve(
    listener: TcpListener,
    config: ApiConfig,
    shutdown: impl Future<Output = ()>,
) -> io::Result<Option<Arc<LoadReport>>> {
    let address = listener.local_addr()?;
    let stop = watch::Sender::new(false);
    let runs = Arc::new(Runs::new(config, stop.subscribe()));
    let mut router = router(Arc::clone(&runs));
    if knows_its_names(address) {
        router = router.layer(HostCheckLayer::new(
            AllowedHosts::default(),
            host_error_response,
        ));
    }
    let mut stopping = stop.subscribe();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        // An error means that the caller is gone.
        let _ = stopping.wait_for(|stop| *stop).await;
    });
    let mut server = tokio::spawn(server.into_future());
    tokio::select! {
        stopped = &mut server => {
            stopped.map_err(io::Error::other)??;
            return Ok(None);
        }
        () = shutdown => {}
    }
    stop.send_replace(true);
    let report = match runs.running() {
        Some(run) => run.stop().await,
        None => None,
    };
    // A client that keeps its connection open must not delay the end.
    if timeout(DRAIN_TIMEOUT, &mut server).await.is_err() {
        server.abort();
    }
    Ok(report)
}

/// Returns true if the server at this address can only be reached by the names of this machine.
fn knows_its_names(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn router(runs: Arc<Runs>) -> Router {
    let admin = Router::new()
        .route(TRAFFIC, get(show).post(generate).delete(stop))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&runs),
            require_token,
        ));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .merge(admin)
        .with_state(runs)
}

async fn require_token(State(runs): State<Arc<Runs>>, request: Request, next: Next) -> Response {
    if !runs.config().token.is_in(request.headers()) {
        return Problem::unauthorized().into_response();
    }
    let mut response = next.run(request).await;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

async fn generate(
    State(runs): State<Arc<Runs>>,
    request: Request,
) -> Result<(StatusCode, Json<RunState>), Problem> {
    let (parts, body) = request.into_parts();
    check_content(&parts.headers)?;
    let fields = match read_json(body).await? {
        Value::Object(fields) => fields,
        _ => {
            let detail = "the body is not a JSON object";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
    };
    let traffic = Traffic::from_fields(&fields, runs.config().profile);
    let traffic = traffic.map_err(Problem::invalid_fields)?;
    let run = runs.start(traffic).await.map_err(start_problem)?;
    Ok((StatusCode::ACCEPTED, Json(run.state_without_report())))
}

async fn show(State(runs): State<Arc<Runs>>) -> Result<Response, Problem> {
    match runs.latest() {
        Some(run) => Ok(Json(run.state().map_err(json_problem)?).into_response()),
        None => Ok(Json(Idle { state: "idle" }).into_response()),
    }
}

async fn stop(State(runs): State<Arc<Runs>>) -> Result<Json<RunState>, Problem> {
    let Some(run) = runs.running() else {
        let detail = "no run is in progress";
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    run.stop().await;
    Ok(Json(run.state().map_err(json_problem)?))
}

async fn healthz() -> Json<Status> {
    Json(Status { status: "ok" })
}

async fn readyz(State(runs): State<Arc<Runs>>) -> Result<Json<Status>, Problem> {
    if runs.is_stopping() {
        return Err(start_problem(StartError::Stopping));
    }
    Ok(Json(Status { status: "ready" }))
}

async fn not_found() -> Problem {
    let detail = format!("expected {TRAFFIC}, /healthz or /readyz");
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn method_not_allowed() -> Problem {
    let detail = "the header allow lists the methods of this path";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

fn check_content(headers: &HeaderMap) -> Result<(), Problem> {
    let unsupported = |detail: String| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail);
    let text = |name| {
        let value = headers.get(name).map(HeaderValue::as_bytes);
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    };
    let content_type = text(CONTENT_TYPE);
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let detail = format!("content-type: expected application/json, found {content_type:?}");
        return Err(unsupported(detail));
    }
    let encoding = text(CONTENT_ENCODING);
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
        let detail = format!("content-encoding: expected identity, found {encoding:?}");
        return Err(unsupported(detail));
    }
    Ok(())
}

async fn read_json(body: Body) -> Result<Value, Problem> {
    let body = timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES)).await;
    let body = body.map_err(|_| {
        let detail = format!("the body did not arrive within {BODY_TIMEOUT:?}");
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
    })?;
    let body = body.map_err(|error| {
        let is_too_large = error.into_inner().is::<http_body_util::LengthLimitError>();
        if is_too_large {
            let detail = format!("the body has more than {MAX_BODY_BYTES} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "the body cannot be read")
        }
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        let detail = format!("the body is not valid JSON: {error}");
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })
}

fn start_problem(error: StartError) -> Problem {
    match error {
        StartError::Running(run) => Problem::running(run),
        StartError::Starting => {
            Problem::new(StatusCode::CONFLICT, "another request is starting a run")
        }
        StartError::Stopping => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping")
        }
        StartError::Generator(error) => {
            Problem::new(StatusCode::BAD_GATEWAY, ErrorChain::new(&error).to_string())
        }
        StartError::Spans(error) => Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ErrorChain::new(&error).to_string(),
        ),
    }
}

fn json_problem(error: serde_json::Error) -> Problem {
    let detail = format!("cannot convert the report to JSON: {error}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_checked_on_loopback_addresses_only() {
        for (address, expected) in [
            ("127.0.0.1:8081", true),
            ("[::1]:8081", true),
            ("[::ffff:127.0.0.1]:8081", true),
            ("0.0.0.0:8081", false),
            ("[::]:8081", false),
            ("10.0.0.5:8081", false),
        ] {
            assert_eq!(
                knows_its_names(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
    }
}
