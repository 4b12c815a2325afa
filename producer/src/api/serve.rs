//! Serving, and stopping without losing what was accepted.

use std::future::{Future, IntoFuture as _};
use std::io;
use std::pin::pin;
use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracer;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::routes::{self, Shared};
use crate::Sender;

/// What the server needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Sends the onboardings.
    pub sender: Sender,
    /// Makes the SERVER spans.
    pub tracer: SdkTracer,
    /// How long accepted requests get to finish once the server is to stop.
    pub shutdown_timeout: Duration,
}

/// How the server came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// Every accepted request was answered.
    Complete,
    /// Some were still running when the time was up, and were left.
    TimedOut,
}

/// The server could not go on.
#[derive(Debug, thiserror::Error)]
#[error("serving HTTP failed")]
pub struct ServeError(#[from] io::Error);

/// Serves the API on `listener` until `shutdown` resolves; then accepts nothing more, finishes what it accepted, and returns.
///
/// Silent and idle connections are closed at once. A client that never finishes its request, be it the head or the body, takes up the whole
/// shutdown timeout and not more.
///
/// # Errors
///
/// When the listener fails.
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<Drain, ServeError> {
    let Config {
        sender,
        tracer,
        shutdown_timeout,
    } = config;
    let (stop, stopped) = oneshot::channel::<()>();
    // An error here means that `stop` was dropped, and then the server is to stop as well.
    let stop_signal = async { drop(stopped.await) };
    let server = axum::serve(listener, routes::router(Shared { sender, tracer }))
        .with_graceful_shutdown(stop_signal);
    let mut server = pin!(server.into_future());
    tokio::select! {
        ended = &mut server => return Ok(ended.map(|()| Drain::Complete)?),
        () = shutdown => drop(stop),
    }
    match tokio::time::timeout(shutdown_timeout, server).await {
        Ok(ended) => Ok(ended.map(|()| Drain::Complete)?),
        Err(_) => Ok(Drain::TimedOut),
    }
}
