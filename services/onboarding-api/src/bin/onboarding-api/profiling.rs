//! The listener of CPU profiles.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{info, warn};

/// A running server of CPU profiles.
#[derive(Debug)]
pub(crate) struct ProfilingServer {
    /// Dropping it stops the server.
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

/// Starts to serve CPU profiles, if there is an address.
///
/// # Errors
///
/// Returns an error with the address if the server cannot listen on it.
pub(crate) async fn start(
    address: Option<SocketAddr>,
) -> Result<Option<ProfilingServer>, (SocketAddr, io::Error)> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| (address, error))?;
    let bound = listener.local_addr().map_err(|error| (address, error))?;
    info!(address = %bound, "serving CPU profiles");
    if !bound.ip().is_loopback() {
        warn!(address = %bound, "CPU profiles can be requested from other machines, without authentication");
    }
    let (shutdown, stopped) = oneshot::channel::<()>();
    let server = onboarding_api::profiling::serve(listener, async {
        let _ = stopped.await;
    });
    Ok(Some(ProfilingServer {
        shutdown,
        server: tokio::spawn(server),
    }))
}

impl ProfilingServer {
    /// Ends a profile that is being taken, and waits until the listener is closed.
    pub(crate) async fn stop(self) {
        drop(self.shutdown);
        // The server has no result, and a panic in it must not skip the rest of the shutdown.
        let _ = self.server.await;
    }
}
