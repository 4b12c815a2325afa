//! What happens when Lambda announces that it ends the process.
//!
//! It does so only for functions with an extension: SIGTERM, and SIGKILL 500 ms later where all
//! extensions are internal ones, 300 ms where one is external. Without any the process is killed
//! unannounced, which loses nothing where spans are flushed before the response.

use std::future::{Future, pending};
use std::sync::Arc;

use tokio::sync::watch;

#[cfg(feature = "graceful-shutdown")]
use self::announcement::Announcement;
use crate::flush::Flusher;

#[cfg(feature = "graceful-shutdown")]
mod announcement;

/// What completes when the process may end because Lambda has announced it; never, where it does
/// not.
#[cfg(feature = "graceful-shutdown")]
pub(crate) async fn ended(flusher: &Arc<Flusher>) -> impl Future<Output = ()> + use<> {
    let flusher = Arc::clone(flusher);
    let announcement = match flusher.config.graceful_shutdown {
        true => Announcement::register().await,
        false => None,
    };
    async move {
        match announcement {
            Some(announcement) => {
                announcement
                    .obey(&flusher.shutdown, &flusher.telemetry)
                    .await;
            }
            None => pending().await,
        }
    }
}

/// Never: without the feature nothing is announced.
#[cfg(not(feature = "graceful-shutdown"))]
pub(crate) async fn ended(_: &Arc<Flusher>) -> impl Future<Output = ()> + use<> {
    pending()
}

/// Whether the end has been announced, and how many invocations are not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    announced: watch::Sender<bool>,
    in_flight: watch::Sender<usize>,
}

/// An invocation that is not answered yet.
#[derive(Debug)]
pub(crate) struct InvocationGuard<'a>(&'a Shutdown);

impl Shutdown {
    /// Completes once the end has been announced.
    pub(crate) async fn announced(&self) {
        // The sender is in `self`: it cannot be gone.
        let _ = self.announced.subscribe().wait_for(|yes| *yes).await;
    }

    pub(crate) fn track_invocation(&self) -> InvocationGuard<'_> {
        self.in_flight.send_modify(|count| *count += 1);
        InvocationGuard(self)
    }
}

#[cfg(feature = "graceful-shutdown")]
impl Shutdown {
    fn announce(&self) {
        self.announced.send_replace(true);
    }

    /// Completes when every invocation is answered.
    async fn idle(&self) {
        // As above.
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
