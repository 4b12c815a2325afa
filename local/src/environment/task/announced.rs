//! The end of an environment that waits for an event: announced where an extension has registered,
//! as Lambda does it.

use std::time::Duration;

use tokio::time::Instant;

use super::{EnvironmentEvent, EnvironmentTask, NextReply};
use crate::environment::LogSource;
use crate::environment::pool::Invocation;

/// What Lambda gives a process between SIGTERM and SIGKILL where all extensions are internal ones.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

impl EnvironmentTask<'_> {
    /// Waits for an event; `None` when the environment is to be killed, which its process then
    /// knows if it has asked to be told.
    pub(super) async fn next_invocation(&mut self, next: &mut NextReply) -> Option<Invocation> {
        let invocation = self.idle(next).await;
        if invocation.is_none() && self.early_exit_cause.is_none() && self.api.has_extension() {
            self.announce_shutdown().await;
        }
        invocation
    }

    async fn announce_shutdown(&mut self) {
        self.process.terminate();
        let until = Instant::now() + SHUTDOWN_GRACE;
        loop {
            match self.next_event(until).await {
                EnvironmentEvent::Exited(_) => return,
                EnvironmentEvent::TimedOut => {
                    let late =
                        format!("still runs {SHUTDOWN_GRACE:?} after SIGTERM, and is killed");
                    return self.log.write(LogSource::Platform, &late);
                }
                // Nothing can be asked of it any more, and it has nothing to ask.
                EnvironmentEvent::Call(_) | EnvironmentEvent::Command(_) => {}
            }
        }
    }
}
