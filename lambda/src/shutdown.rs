//! Shutdown of the process.
//!
//! Lambda announces it only to functions with an extension: by SIGTERM, followed by SIGKILL 500 ms
//! later if all extensions are internal, or 300 ms later if one is external ("Shutdown phase" in
//! the Lambda developer guide, aws-samples/graceful-shutdown-with-aws-lambda). Without an
//! extension, the process is killed without notice, which loses nothing if spans are flushed before
//! the response.

use std::future::pending;
use std::time::Duration;

use baton_telemetry::Telemetry;
use tokio::sync::watch;

#[cfg(feature = "graceful-shutdown")]
pub(crate) use self::signal::ShutdownSignal;
use crate::config::ConsumerConfig;

#[cfg(feature = "graceful-shutdown")]
mod signal;

/// Time that running handlers get after the announcement. The flush and the response must fit into
/// the rest of the 300 ms.
pub(crate) const HANDLER_GRACE: Duration = Duration::from_millis(120);
/// Time that the flush of an invocation gets after the announcement, or after its start if that is
/// later.
pub(crate) const FLUSH_GRACE: Duration = Duration::from_millis(100);
/// Time from SIGTERM until the process exits. Must be below 300 ms, because a runtime cannot tell
/// whether the function has an external extension.
#[cfg(feature = "graceful-shutdown")]
const SHUTDOWN_TIME: Duration = Duration::from_millis(270);

/// A signal that never arrives, because the feature is off.
#[cfg(not(feature = "graceful-shutdown"))]
pub(crate) enum ShutdownSignal {}

#[cfg(not(feature = "graceful-shutdown"))]
impl ShutdownSignal {
    #[expect(clippy::unused_async, reason = "same signature as with the feature")]
    async fn register() -> Option<Self> {
        None
    }

    async fn shut_down(self, _: &Shutdown, _: &Telemetry) {
        match self {}
    }
}

/// Makes Lambda announce the shutdown, if the configuration enables it.
pub(crate) async fn register(config: &ConsumerConfig) -> Option<ShutdownSignal> {
    if config.graceful_shutdown {
        ShutdownSignal::register().await
    } else {
        None
    }
}

/// Completes when Lambda has announced the shutdown and the process may exit. Never completes
/// without a signal.
pub(crate) async fn wait(
    signal: Option<ShutdownSignal>,
    shutdown: &Shutdown,
    telemetry: &Telemetry,
) {
    match signal {
        Some(signal) => signal.shut_down(shutdown, telemetry).await,
        None => pending().await,
    }
}

/// State of the shutdown, shared by all invocations.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    announced: watch::Sender<bool>,
    /// Number of invocations without a response.
    in_flight: watch::Sender<usize>,
}

/// An invocation without a response. Dropping it marks the response as sent.
#[derive(Debug)]
pub(crate) struct InvocationGuard<'a>(&'a Shutdown);

impl Shutdown {
    /// Completes when the shutdown has been announced.
    pub(crate) async fn announced(&self) {
        // Cannot fail, because `self` owns the sender.
        let _ = self.announced.subscribe().wait_for(|yes| *yes).await;
    }

    pub(crate) fn track_invocation(&self) -> InvocationGuard<'_> {
        self.in_flight.send_modify(|count| *count += 1);
        InvocationGuard(self)
    }

    #[cfg(feature = "graceful-shutdown")]
    fn announce(&self) {
        self.announced.send_replace(true);
    }

    /// Completes when the responses of all invocations have been sent.
    #[cfg(feature = "graceful-shutdown")]
    async fn idle(&self) {
        // Cannot fail, because `self` owns the sender.
        let _ = self
            .in_flight
            .subscribe()
            .wait_for(|count| *count == 0)
            .await;
    }
}

impl Drop for InvocationGuard<'_> {
    fn drop(&mut self) {
        self.0.in_flight.send_modify(|count| *count -= 1);
    }
}
