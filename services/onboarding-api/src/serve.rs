//! The server: accepts connections, and shuts down without losing accepted requests.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use baton_producer::QueueSender;
use opentelemetry::metrics::Meter;
use opentelemetry_sdk::trace::SdkTracer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::request_telemetry::RequestTelemetry;
use crate::routes;

mod connection;

/// Maximum number of open connections. Further ones wait in the kernel's queue. Each costs a file
/// descriptor and about 20 KB. The clients of one container (a load balancer or a few services)
/// keep far fewer connections open.
const MAX_CONNECTIONS: usize = 4096;

/// Pause after a failed `accept`. The usual cause is that the process has no file descriptor left.
/// After the pause, another connection may have been closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Configuration of the server.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Sends the onboardings.
    pub sender: QueueSender,
    /// Creates the SERVER spans.
    pub tracer: SdkTracer,
    /// Creates the instruments.
    pub meter: Meter,
    /// Time for accepted requests to finish after shutdown begins.
    pub shutdown_timeout: Duration,
}

/// The result of draining the accepted requests at shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainOutcome {
    /// Every accepted request got a response.
    Complete,
    /// The shutdown timeout elapsed first. Unfinished requests were cancelled, and their spans have
    /// ended as cancelled.
    TimedOut,
}

/// Serves the API on `listener` until `shutdown` resolves. Then accepts no more connections, and
/// returns when the accepted requests are finished.
///
/// At shutdown, idle connections are closed immediately, and connections with an incomplete request
/// head after one second. A client that never finishes a request's body delays the return until the
/// shutdown timeout. If accepting a connection fails, it is retried.
pub async fn run(
    listener: TcpListener,
    config: ServeConfig,
    shutdown: impl Future<Output = ()>,
) -> DrainOutcome {
    let ServeConfig {
        sender,
        tracer,
        meter,
        shutdown_timeout,
    } = config;
    let router = routes::router(sender, RequestTelemetry::new(tracer, &meter));
    let mut connections = JoinSet::new();
    // Dropping `shutdown_sender` tells every connection that shutdown has begun.
    let (shutdown_sender, shutdown_started) = watch::channel(());
    accept_until(
        shutdown,
        &listener,
        &router,
        &shutdown_started,
        &mut connections,
    )
    .await;
    drop((listener, shutdown_sender));
    let all_done = async { while connections.join_next().await.is_some() {} };
    match timeout(shutdown_timeout, all_done).await {
        Ok(()) => DrainOutcome::Complete,
        Err(_) => {
            // Wait for the cancelled requests: dropping them ends their spans, which are exported
            // after this returns.
            connections.shutdown().await;
            DrainOutcome::TimedOut
        }
    }
}

/// Accepts and serves connections until `shutdown` resolves.
async fn accept_until(
    shutdown: impl Future<Output = ()>,
    listener: &TcpListener,
    router: &Router,
    shutdown_started: &watch::Receiver<()>,
    connections: &mut JoinSet<()>,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => {}
            (stream, permit) = accept(listener, &permits) => {
                let (router, shutdown_started) = (router.clone(), shutdown_started.clone());
                connections.spawn(async move {
                    connection::serve(stream, router, shutdown_started).await;
                    drop(permit);
                });
            }
        }
    }
}

/// Accepts the next connection once a permit is available.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // Acquiring fails only if the semaphore is closed, which never happens.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) if is_connection_error(&error) => {}
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot accept a connection"
                );
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Returns `true` if the client closed the connection before it was accepted. The listener is
/// intact.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
