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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::queue::OnboardingQueue;
use crate::request_limits::RequestLimits;
use crate::request_telemetry::RequestTelemetry;
use crate::routes;
use crate::serve::phase::Phase;

mod connection;
mod phase;

pub(crate) use phase::CurrentPhase;

/// Maximum number of open connections. Further ones wait in the kernel's queue. Each costs a file
/// descriptor and about 20 KB. The clients of one container (a load balancer or a few services)
/// keep far fewer connections open.
const MAX_CONNECTIONS: usize = 4096;

/// Pause after a failed `accept`. The usual cause is that the process has no file descriptor left.
/// After the pause, another connection may have been closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Limits of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of requests in progress, except health checks. Further ones get 503.
    pub max_concurrent_requests: usize,
    /// Time limit of a request, from the end of its head to its response.
    pub request_timeout: Duration,
}

/// Configuration of the server.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Sends the onboardings.
    pub sender: QueueSender,
    /// Creates the SERVER spans.
    pub tracer: SdkTracer,
    /// Creates the instruments.
    pub meter: Meter,
    /// Limits of requests and connections.
    pub limits: Limits,
    /// Time for accepted requests to finish after the grace period.
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

/// Serves the API on `listener` until `shutdown` resolves with the length of the grace period, and
/// then shuts down.
///
/// In the grace period, `GET /readyz` returns 503, so that load balancers stop sending requests.
/// Connections and requests are still accepted, and each response has the header `connection:
/// close`. A client therefore never sends a request on a connection that the server is closing,
/// unless the connection was idle during the whole period.
///
/// After it, the server accepts no more connections, and returns when the accepted requests are
/// finished. Idle connections are closed immediately, and connections with an incomplete request
/// head after one second. A client that never finishes a request's body delays the return until the
/// shutdown timeout. If accepting a connection fails, it is retried.
pub async fn run(
    listener: TcpListener,
    config: ServeConfig,
    shutdown: impl Future<Output = Duration>,
) -> DrainOutcome {
    let ServeConfig {
        sender,
        tracer,
        meter,
        limits,
        shutdown_timeout,
    } = config;
    let (phases, phase) = CurrentPhase::running();
    let queue = OnboardingQueue::new(sender);
    let request_limits = RequestLimits::new(limits.max_concurrent_requests, limits.request_timeout);
    let telemetry = RequestTelemetry::new(tracer, &meter, request_limits);
    let router = routes::router(queue, telemetry, phase.clone());
    let mut server = Server {
        router,
        phase,
        permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        connections: JoinSet::new(),
    };
    let grace_period = server.accept_until(&listener, shutdown).await;
    phases.send_replace(Phase::GracePeriod);
    info!(grace_period_s = grace_period.as_secs_f64(), "stopping");
    server.accept_until(&listener, sleep(grace_period)).await;
    server.accept_pending(listener);
    phases.send_replace(Phase::Draining);
    server.drain(shutdown_timeout).await
}

/// The server without its listener, which is closed first.
#[derive(Debug)]
struct Server {
    router: Router,
    phase: CurrentPhase,
    permits: Arc<Semaphore>,
    connections: JoinSet<()>,
}

impl Server {
    /// Accepts and serves connections until `end` resolves. Returns its output.
    async fn accept_until<T>(&mut self, listener: &TcpListener, end: impl Future<Output = T>) -> T {
        let mut end = pin!(end);
        loop {
            tokio::select! {
                output = &mut end => return output,
                Some(_) = self.connections.join_next() => {}
                (stream, permit) = accept(listener, &self.permits) => self.serve(stream, permit),
            }
        }
    }

    /// Accepts the connections that the kernel has already established, and closes the listener.
    /// Closing it resets those that were not accepted.
    fn accept_pending(&mut self, listener: TcpListener) {
        // The runtime learns of a new connection only later, so the kernel is asked.
        let Ok(listener) = listener.into_std() else {
            return;
        };
        while let Ok((stream, _)) = listener.accept() {
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                return;
            };
            let stream = stream.set_nonblocking(true).map(|()| stream);
            if let Ok(stream) = stream.and_then(TcpStream::from_std) {
                self.serve(stream, Some(permit));
            }
        }
    }

    fn serve(&mut self, stream: TcpStream, permit: Option<OwnedSemaphorePermit>) {
        let (router, phase) = (self.router.clone(), self.phase.clone());
        self.connections.spawn(async move {
            connection::serve(stream, router, phase).await;
            drop(permit);
        });
    }

    /// Waits until all connections are closed, and cancels the remaining requests after `limit`.
    async fn drain(mut self, limit: Duration) -> DrainOutcome {
        let all_done = async { while self.connections.join_next().await.is_some() {} };
        match timeout(limit, all_done).await {
            Ok(()) => DrainOutcome::Complete,
            Err(_) => {
                // Wait for the cancelled requests: dropping them ends their spans, which are
                // exported after this returns.
                self.connections.shutdown().await;
                DrainOutcome::TimedOut
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
