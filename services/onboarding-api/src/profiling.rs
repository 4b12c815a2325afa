//! CPU profiles over HTTP: `GET /debug/pprof/profile`, the path of Go's `net/http/pprof`, on a
//! listener that is separate from that of the API.
//!
//! During a profile, a timer counts the CPU time of this process, and its signal (`SIGPROF`)
//! interrupts the running thread. The signal handler walks the stack with the unwind tables of the
//! binary. It neither allocates nor calls the system's unwinder (`_Unwind_Backtrace`), which can
//! deadlock in a signal handler.
//!
//! A web page can resolve a name of its own site to the address of the listener (DNS rebinding),
//! and the browser then lets the page read profiles. The request still contains the name of the
//! site. Requests for such names, and requests of pages of other sites, are rejected.

use std::future::{Future, IntoFuture as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::{
    ALLOW, CONTENT_DISPOSITION, CONTENT_TYPE, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS,
};
use http::uri::Authority;
use http::{HeaderValue, Method, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use self::parameters::{InvalidParameter, ProfileParameters};
use self::sampling::{SamplingError, take_samples};

mod parameters;
mod pprof;
mod sampling;

/// Path of CPU profiles. `go tool pprof` and Grafana Alloy request it.
const PROFILE_PATH: &str = "/debug/pprof/profile";

/// Time limit for the last responses after `shutdown`. They only say that the service is stopping.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves profiles on `listener` until `shutdown` resolves. A profile that is being taken then ends
/// with status 503.
///
/// One profile is taken at a time, because the process has one timer. A profile ends without a
/// response if its client disconnects.
pub async fn serve(listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let (stop, stopped) = watch::channel(());
    let router = Router::new()
        .route(PROFILE_PATH, any(respond_with_profile))
        .fallback(async || ProfileError::UnknownPath)
        .layer(from_fn(reject_other_sites))
        .with_state(Profiling {
            slot: Arc::new(Semaphore::new(1)),
            stopped: stopped.clone(),
        });
    let graceful = async move { wait_for_stop(stopped).await };
    let server = axum::serve(listener, router).with_graceful_shutdown(graceful);
    let mut server = std::pin::pin!(server.into_future());
    tokio::select! {
        _ = &mut server => {}
        () = shutdown => {
            drop(stop);
            // A client that has not sent a complete request would delay the end.
            let _ = timeout(STOP_TIMEOUT, server).await;
        }
    }
}

/// State that requests share.
#[derive(Debug, Clone)]
struct Profiling {
    /// Has a permit while no profile is being taken.
    slot: Arc<Semaphore>,
    stopped: watch::Receiver<()>,
}

/// Rejects requests that pages of other sites can cause a browser to send.
async fn reject_other_sites(request: Request, next: Next) -> Result<Response, ProfileError> {
    let headers = request.headers();
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    let authority = host.and_then(|host| Authority::try_from(host).ok());
    if !authority.is_some_and(|authority| is_address_or_local(authority.host())) {
        let host = String::from_utf8_lossy(host.unwrap_or_default());
        return Err(ProfileError::Host(host.into_owned()));
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if headers.contains_key(ORIGIN) || site == Some(b"cross-site") {
        return Err(ProfileError::OtherSite);
    }
    Ok(next.run(request).await)
}

/// Returns true for the hosts that no other site can resolve to the listener.
fn is_address_or_local(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.ends_with(".localhost") || address.parse::<IpAddr>().is_ok()
}

async fn respond_with_profile(
    State(profiling): State<Profiling>,
    method: Method,
    uri: Uri,
) -> Result<Response, ProfileError> {
    // HEAD would take a profile and discard it.
    if method != Method::GET {
        return Err(ProfileError::Method);
    }
    let parameters = ProfileParameters::parse(uri.query().unwrap_or_default())?;
    let slot = Arc::clone(&profiling.slot).try_acquire_owned();
    let slot = slot.map_err(|_| ProfileError::Busy)?;
    info!(
        seconds = parameters.seconds,
        frequency = parameters.frequency,
        "taking a CPU profile"
    );
    // If the client disconnects, this sender is dropped with the request, and the task ends early.
    let (_request, request_dropped) = std::sync::mpsc::channel();
    let samples = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        take_samples(parameters, &request_dropped)
    });
    let profile = tokio::select! {
        samples = samples => samples.map_err(|_| ProfileError::Panicked)?.map_err(ProfileError::Sampling)?,
        () = wait_for_stop(profiling.stopped) => return Err(ProfileError::Stopping),
    };
    info!(
        samples = profile.samples,
        missed_samples = profile.missed_samples,
        "took a CPU profile"
    );
    if profile.is_without_symbols {
        warn!(
            "the CPU profile has no function names: the program is stripped of its symbols; build it with --profile profiling"
        );
    }
    let headers = [
        (CONTENT_TYPE, "application/octet-stream"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"profile.pb.gz\"",
        ),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, profile.encoded).into_response())
}

/// Waits until the sender is dropped.
async fn wait_for_stop(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// An error that a request gets instead of a profile.
#[derive(Debug, thiserror::Error)]
enum ProfileError {
    #[error(transparent)]
    Invalid(#[from] InvalidParameter),
    #[error(
        "the host {0:?} is not allowed: expected localhost, a name under .localhost or an IP address"
    )]
    Host(String),
    #[error("requests from web pages are not allowed")]
    OtherSite,
    #[error("unsupported method, expected GET")]
    Method,
    #[error("another CPU profile is being taken: retry the request when it has ended")]
    Busy,
    #[error("the service is stopping: the CPU profile was cancelled")]
    Stopping,
    #[error("cannot take a CPU profile: {0}")]
    Sampling(SamplingError),
    #[error("cannot take a CPU profile: the task panicked")]
    Panicked,
    #[error("unknown path, expected {PROFILE_PATH}")]
    UnknownPath,
}

impl IntoResponse for ProfileError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::OtherSite => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Busy => StatusCode::CONFLICT,
            Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Sampling(_) | Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::UnknownPath => StatusCode::NOT_FOUND,
        };
        if status.is_server_error() {
            warn!(error = %self, "request for a CPU profile failed");
        }
        let mut response = (status, format!("{self}\n")).into_response();
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = HeaderValue::from_static("GET");
            response.headers_mut().insert(ALLOW, allowed);
        }
        response
    }
}
