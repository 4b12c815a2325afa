//! The announcement: an internal extension that asks for no events, so that Lambda sends SIGTERM.

use super::Shutdown;
use baton_telemetry::Telemetry;
use lambda_extension::{Error as BoxError, Extension};
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

/// Internal extensions of one function must differ in their names.
const EXTENSION: &str = "baton-graceful-shutdown";
/// When everything has to be done after SIGTERM: Lambda gives 500 ms where all extensions are internal ("Shutdown phase" in the Lambda
/// developer guide).
const TIME: Duration = Duration::from_millis(450);

/// Why the end cannot be announced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unannounced {
    #[error("the internal extension cannot be registered: {0}")]
    Extension(BoxError),
    #[error("SIGTERM cannot be listened for: {0}")]
    Signal(#[from] io::Error),
}

/// A registered extension and the signal that it is for.
pub(crate) struct Announcement {
    extension: Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>,
    terminate: Signal,
}

impl Announcement {
    /// To be called before the first invocation is asked for: extensions register while the function starts. What cannot announce the end
    /// does not keep the function from its work: it is one line in the log, and `None`.
    pub(crate) async fn register() -> Option<Self> {
        Self::try_register()
            .await
            .inspect_err(|error| warn!(error = error as &dyn Error, "no graceful shutdown"))
            .ok()
    }

    async fn try_register() -> Result<Self, Unannounced> {
        let terminate = signal(SignalKind::terminate())?;
        let extension = Extension::new()
            .with_events(&[])
            .with_extension_name(EXTENSION)
            .register()
            .await
            .map_err(Unannounced::Extension)?;
        Ok(Self {
            extension: Box::pin(extension.run()),
            terminate,
        })
    }

    /// Waits for SIGTERM; then lets the invocations under way come to their end, and flushes. Completes when the process may end.
    pub(crate) async fn obey(mut self, shutdown: &Shutdown, telemetry: &Telemetry) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            outcome = &mut self.extension => {
                warn!(?outcome, "the extension that SIGTERM is announced to has ended");
                self.terminate.recv().await;
            }
        }
        info!("shutting down");
        let deadline = Instant::now() + TIME;
        shutdown.announce();
        if timeout_at(deadline, shutdown.idle()).await.is_err() {
            warn!("an invocation was not answered before the end");
        }
        telemetry.shutdown(deadline).await;
    }
}
