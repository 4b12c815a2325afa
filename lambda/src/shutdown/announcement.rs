//! The announcement: an internal extension that asks for no events, so that Lambda sends SIGTERM.

use std::error::Error;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::time::Duration;

use baton_telemetry::Telemetry;
use lambda_extension::{Error as BoxError, Extension};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::Shutdown;

/// Internal extensions of one function must differ in their names.
const EXTENSION: &str = "baton-graceful-shutdown";
/// When everything has to be done after SIGTERM. Lambda gives 500 ms where all extensions are
/// internal, and a runtime beside an external one 300 ms ("Shutdown phase" in the Lambda developer
/// guide, aws-samples/graceful-shutdown-with-aws-lambda). Which of them holds is not to be seen
/// from here.
const TIME: Duration = Duration::from_millis(270);

type Running = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A registered extension and the signal that it is for.
pub(crate) struct Announcement {
    /// `None`, where it could not be registered: an extension of somebody else's has Lambda send
    /// the signal all the same.
    extension: Option<Running>,
    terminate: Signal,
}

impl Announcement {
    /// To be called before the first invocation is asked for: extensions register while the
    /// function starts. What cannot announce the end does not keep the function from its work: it
    /// is one line in the log.
    pub(crate) async fn register() -> Option<Self> {
        let warn_of = |error: &io::Error| {
            warn!(
                error = error as &dyn Error,
                "no graceful shutdown: SIGTERM cannot be listened for"
            )
        };
        let terminate = signal(SignalKind::terminate()).inspect_err(warn_of).ok()?;
        let registering = Extension::new()
            .with_events(&[])
            .with_extension_name(EXTENSION)
            .register();
        let warn_of = |error: &BoxError| {
            warn!(
                error = &**error as &dyn Error,
                "Lambda may not announce the end: the internal extension cannot be registered"
            )
        };
        let registered = registering.await.inspect_err(warn_of).ok();
        Some(Self {
            extension: registered.map(|extension| Box::pin(extension.run()) as Running),
            terminate,
        })
    }

    /// Waits for SIGTERM; then lets the invocations under way come to their end, and flushes.
    /// Completes when the process may end.
    pub(crate) async fn obey(mut self, shutdown: &Shutdown, telemetry: &Telemetry) {
        let mut running = self.extension.unwrap_or_else(|| Box::pin(pending()));
        tokio::select! {
            _ = self.terminate.recv() => {}
            outcome = &mut running => {
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
