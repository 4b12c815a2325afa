//! The phase of the server.

use tokio::sync::watch;

/// The phase of the server. Each phase is followed by the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The server is ready.
    Running,
    /// Shutdown has begun. The server is not ready, but still accepts connections and requests,
    /// until load balancers have noticed.
    GracePeriod,
    /// The server accepts no more connections, and finishes the accepted requests.
    Draining,
}

/// The current phase, for the parts that behave differently during a shutdown.
#[derive(Debug, Clone)]
pub(crate) struct CurrentPhase(watch::Receiver<Phase>);

impl CurrentPhase {
    /// Returns the first phase, and the sender of the later ones.
    pub(super) fn running() -> (watch::Sender<Phase>, Self) {
        let (sender, receiver) = watch::channel(Phase::Running);
        (sender, Self(receiver))
    }

    /// Returns `true` once shutdown has begun.
    pub(crate) fn is_shutting_down(&self) -> bool {
        *self.0.borrow() != Phase::Running
    }

    /// Waits until the accepted requests are to be finished.
    pub(super) async fn wait_for_draining(&mut self) {
        // An error means that the server no longer exists.
        let _ = self.0.wait_for(|phase| *phase == Phase::Draining).await;
    }
}
