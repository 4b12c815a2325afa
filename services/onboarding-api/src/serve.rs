//! The server: accepts connections, and shuts down without losing accepted requests.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use baton_producer::QueueSender;
use opentelemetry::global::BoxedTracer;
use opentelemetry::metrics::Meter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
#[cfg(feature = "gather")]
use tokio::time::Instant;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::queue::OnboardingQueue;
use crate::repeated_events::{EventKind, RepeatedEvents};
use crate::request_limits::ConcurrencyLimit;
use crate::request_telemetry::RequestTelemetry;
use crate::routes;
use crate::serve::open_connections::OpenConnections;
use crate::serve::phase::Phase;

mod activity;
mod connection;
mod open_connections;
mod phase;

pub(crate) use phase::CurrentPhase;

/// Pause after a failed `accept`. The usual cause is that the process has no file descriptor left.
/// After the pause, the oldest idle connections have been closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Time for the messages that are in the sender's buffer after the last request. Usually there are
/// none, because each request waits for its own.
#[cfg(feature = "gather")]
const BUFFER_TIMEOUT: Duration = Duration::from_secs(1);

/// Limits of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of open connections. If it is reached, the oldest idle ones are closed. Each
    /// costs a file descriptor and about 20 KB. It must be larger than the number of concurrent
    /// requests, so that there is always an idle one.
    pub max_connections: usize,
    /// Maximum number of requests in progress whose bodies have been received, except health
    /// checks. Further ones get 503.
    pub max_concurrent_requests: usize,
    /// Time limit of a request, from the end of its head to its response.
    pub request_timeout: Duration,
}

/// Configuration of the server.
#[derive(Debug)]
pub struct ServeConfig {
    /// Sends the onboardings.
    pub sender: QueueSender,
    /// Creates the SERVER spans.
    pub tracer: BoxedTracer,
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
    let events = Arc::new(RepeatedEvents::default());
    let queue = OnboardingQueue::new(sender, Arc::clone(&events));
    let telemetry = RequestTelemetry::new(tracer, &meter, limits.request_timeout);
    let concurrency = ConcurrencyLimit::new(limits.max_concurrent_requests);
    let router = routes::build_router(queue.clone(), concurrency, telemetry, phase.clone());
    let server = Server {
        router,
        phase,
        connections: OpenConnections::new(limits.max_connections, Arc::clone(&events)),
        events: Arc::clone(&events),
    };
    let serve = server.serve_until(listener, shutdown, phases, shutdown_timeout);
    let outcome = tokio::select! {
        outcome = serve => outcome,
        never = events.write_counts_regularly() => match never {},
    };
    #[cfg(feature = "gather")]
    {
        let unsent = queue.close(Instant::now() + BUFFER_TIMEOUT).await;
        if unsent > 0 {
            warn!(
                messages = unsent,
                "messages were not sent before the shutdown"
            );
        }
    }
    events.write_counts();
    outcome
}

/// The server without its listener, which is closed first.
#[derive(Debug)]
struct Server {
    router: Router,
    phase: CurrentPhase,
    connections: OpenConnections,
    events: Arc<RepeatedEvents>,
}

impl Server {
    /// Serves connections until `shutdown` resolves with the length of the grace period, and shuts
    /// down.
    async fn serve_until(
        mut self,
        listener: TcpListener,
        shutdown: impl Future<Output = Duration>,
        phases: watch::Sender<Phase>,
        shutdown_timeout: Duration,
    ) -> DrainOutcome {
        let grace_period = self.accept_until(&listener, shutdown).await;
        phases.send_replace(Phase::GracePeriod);
        info!(grace_period_s = grace_period.as_secs_f64(), "stopping");
        self.accept_until(&listener, sleep(grace_period)).await;
        self.accept_pending(listener);
        phases.send_replace(Phase::Draining);
        self.drain(shutdown_timeout).await
    }

    /// Accepts and serves connections until `end` resolves. Returns its output.
    async fn accept_until<T>(&mut self, listener: &TcpListener, end: impl Future<Output = T>) -> T {
        let mut end = pin!(end);
        loop {
            tokio::select! {
                output = &mut end => return output,
                Some(()) = self.connections.wait_for_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => self.serve(stream, address),
                    Err(error) if is_connection_error(&error) => {}
                    Err(error) => {
                        self.events.record(EventKind::AcceptFailed, 1, || {
                            let cause: &dyn Error = &error;
                            warn!(error = cause, count = 1, "cannot accept a connection");
                        });
                        self.connections.close_oldest();
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
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
        while let Ok((stream, address)) = listener.accept() {
            let stream = stream.set_nonblocking(true).map(|()| stream);
            if let Ok(stream) = stream.and_then(TcpStream::from_std) {
                self.serve(stream, address);
            }
        }
    }

    fn serve(&mut self, stream: TcpStream, address: SocketAddr) {
        let (router, phase) = (self.router.clone(), self.phase.clone());
        self.connections.start(address.ip(), |activity| {
            connection::serve(stream, router, phase, activity)
        });
    }

    /// Waits until all connections are closed, and cancels the remaining requests after `limit`.
    async fn drain(mut self, limit: Duration) -> DrainOutcome {
        let all_done = async { while self.connections.wait_for_next().await.is_some() {} };
        match timeout(limit, all_done).await {
            Ok(()) => DrainOutcome::Complete,
            Err(_) => {
                // Wait for the cancelled requests: dropping them ends their spans, which are
                // exported after this returns.
                self.connections.close_all().await;
                DrainOutcome::TimedOut
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
