//! CPU profiles over HTTP: `GET /debug/pprof/profile`, the path of Go's `net/http/pprof`, on a
//! listener that is separate from that of the API.
//!
//! During a profile, a timer counts the CPU time of this process, and its signal (`SIGPROF`)
//! interrupts the running thread. The signal handler walks the stack with the unwind tables of the
//! binary. It neither allocates nor calls the system's unwinder (`_Unwind_Backtrace`), which can
//! deadlock in a signal handler.

use std::future::{Future, IntoFuture as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{StatusCode, Uri};
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
        .route(PROFILE_PATH, get(respond_with_profile))
        .fallback(async || ProfileError::UnknownPath)
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

async fn respond_with_profile(
    State(profiling): State<Profiling>,
    uri: Uri,
) -> Result<Response, ProfileError> {
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
            Self::Busy => StatusCode::CONFLICT,
            Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Sampling(_) | Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::UnknownPath => StatusCode::NOT_FOUND,
        };
        if status.is_server_error() {
            warn!(error = %self, "request for a CPU profile failed");
        }
        (status, format!("{self}\n")).into_response()
    }
}
