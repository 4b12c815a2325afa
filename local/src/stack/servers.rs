//! The stack's own servers.

use std::fmt::Display;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::error::StackError;

/// Time for open requests when the stack stops: all of them are local and short, and a frozen
/// client must not delay the shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Servers that are stopped together.
#[derive(Debug)]
pub(super) struct Servers {
    tasks: JoinSet<ServerExit>,
    stop: watch::Sender<bool>,
}

/// A server that has stopped.
#[derive(Debug)]
pub(super) struct ServerExit {
    pub(super) name: &'static str,
    pub(super) reason: String,
}

impl Servers {
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            stop: watch::Sender::new(false),
        }
    }

    /// Returns a future that resolves when the servers should stop.
    pub(super) fn shutdown_signal(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stop = self.stop.subscribe();
        async move {
            // An error means that the owner is gone, so the server stops as well.
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    /// Starts a server.
    pub(super) fn spawn<E: Display>(
        &mut self,
        name: &'static str,
        server: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            let reason = server.await.map_or_else(
                |error| error.to_string(),
                |()| "it stopped unexpectedly".to_owned(),
            );
            ServerExit { name, reason }
        });
    }

    /// Waits until a server stops, which happens only on an error.
    pub(super) async fn wait_for_exit(&mut self) -> ServerExit {
        match self.tasks.join_next().await {
            Some(Ok(ended)) => ended,
            Some(Err(error)) => ServerExit {
                name: "a server",
                reason: error.to_string(),
            },
            None => std::future::pending().await,
        }
    }

    /// Stops the servers once their open requests have finished, or after a time limit.
    pub(super) async fn stop(&mut self) {
        self.stop.send_replace(true);
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// Returns the loopback address with this port; 0 stands for a free port.
pub(super) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Binds a listener to an address. Returns it with its actual address, in which the port is not 0.
pub(super) async fn listen(
    service: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StackError> {
    let failed = |source| StackError::Listen {
        service,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
