//! SIGTERM, which Lambda sends only to functions with an extension. An internal extension that
//! subscribes to no events is registered for that purpose.

use std::error::Error;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;

use baton_telemetry::Telemetry;
use lambda_extension::Extension;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tower::BoxError;
use tracing::{info, warn};

use super::{SHUTDOWN_TIME, Shutdown};

/// Name of the extension. The internal extensions of a function must have different names.
const EXTENSION: &str = "baton-graceful-shutdown";

type ExtensionTask = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A listener for SIGTERM, with the extension that makes Lambda send the signal.
pub(crate) struct ShutdownSignal {
    /// `None` if the registration failed. An external extension makes Lambda send the signal too,
    /// so the listener is useful without it.
    extension: Option<ExtensionTask>,
    terminate: Signal,
}

impl ShutdownSignal {
    /// Listens for SIGTERM and registers the extension. Must be called before the first invocation
    /// is polled, because extensions can register only during the init phase. Failures are logged
    /// and do not prevent the function from running.
    pub(super) async fn register() -> Option<Self> {
        let warn_signal = |error: &io::Error| {
            warn!(
                error = error as &dyn Error,
                "cannot listen for SIGTERM: graceful shutdown is off"
            )
        };
        let terminate = signal(SignalKind::terminate())
            .inspect_err(warn_signal)
            .ok()?;
        let registering = Extension::new()
            .with_events(&[])
            .with_extension_name(EXTENSION)
            .register();
        let warn_extension = |error: &BoxError| {
            warn!(
                error = &**error as &dyn Error,
                "cannot register the internal extension: Lambda may not send SIGTERM"
            )
        };
        let registered = registering.await.inspect_err(warn_extension).ok();
        Some(Self {
            extension: registered.map(|extension| Box::pin(extension.run()) as ExtensionTask),
            terminate,
        })
    }

    /// Waits for SIGTERM, then for the invocations in progress, and flushes. Completes when the
    /// process may exit.
    pub(super) async fn shut_down(mut self, shutdown: &Shutdown, telemetry: &Telemetry) {
        let mut extension = self.extension.unwrap_or_else(|| Box::pin(pending()));
        tokio::select! {
            _ = self.terminate.recv() => {}
            outcome = &mut extension => {
                warn!(?outcome, "the internal extension ended: Lambda may not send SIGTERM");
                self.terminate.recv().await;
            }
        }
        info!("shutting down");
        let deadline = Instant::now() + SHUTDOWN_TIME;
        shutdown.announce();
        if timeout_at(deadline, shutdown.idle()).await.is_err() {
            warn!("shutdown timed out waiting for the response of an invocation");
        }
        telemetry.shutdown(deadline).await;
    }
}
