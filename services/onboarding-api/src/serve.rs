//! Serving, and stopping without losing what was accepted.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use baton_producer::Sender;
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

/// Connections served at once; more wait in the kernel's queue. Each costs a descriptor and some 20
/// KB, and what is in front of a container, a load balancer or a handful of services, keeps far
/// fewer.
const MAX_CONNECTIONS: usize = 4096;

/// How long nothing is accepted after accepting has failed: by then another connection may have
/// given its descriptor back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What the server needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Sends the onboardings.
    pub sender: Sender,
    /// Makes the SERVER spans.
    pub tracer: SdkTracer,
    /// Measures the requests.
    pub meter: Meter,
    /// How long accepted requests get to finish once the server is to stop.
    pub shutdown_timeout: Duration,
}

/// How the server came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// Every accepted request was answered.
    Complete,
    /// Some were still running when the time was up, and were given up: their spans have ended as
    /// cancelled.
    TimedOut,
}

/// Serves the API on `listener` until `shutdown` resolves; then accepts nothing more, finishes what
/// it accepted, and returns.
///
/// Silent and idle connections are closed at once, and those amid a request's head after a second.
/// A client that never finishes a request's body takes up the whole shutdown timeout and not more.
/// A listener that fails is tried again.
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Drain {
    let Config {
        sender,
        tracer,
        meter,
        shutdown_timeout,
    } = config;
    let router = routes::router(sender, RequestTelemetry::new(tracer, &meter));
    let mut connections = JoinSet::new();
    let (stop, stopped) = watch::channel(());
    accept(&listener, &router, &stopped, &mut connections, shutdown).await;
    drop((listener, stop));
    let all_done = async { while connections.join_next().await.is_some() {} };
    match timeout(shutdown_timeout, all_done).await {
        Ok(()) => Drain::Complete,
        Err(_) => {
            // Dropped requests end their spans, which are to be exported yet: so they are waited
            // for.
            connections.shutdown().await;
            Drain::TimedOut
        }
    }
}

/// Serves every connection that comes, until `shutdown` resolves.
async fn accept(
    listener: &TcpListener,
    router: &Router,
    stopped: &watch::Receiver<()>,
    connections: &mut JoinSet<()>,
    shutdown: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => {}
            (stream, slot) = next(listener, &slots) => {
                let (router, stopped) = (router.clone(), stopped.clone());
                connections.spawn(async move {
                    connection::serve(stream, router, stopped).await;
                    drop(slot);
                });
            }
        }
    }
}

/// The next connection, once there is room for it.
async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there always is a slot in the end.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, slot),
            Err(error) if is_of_the_connection(&error) => {}
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

/// Whether it was the client who gave up while its connection was being accepted.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
