//! The end of an environment that waits for an event: announced where an extension has registered,
//! as Lambda does it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Happening, NextReply, Sandbox};
use crate::environment::LogSource;
use crate::environment::pool::Invocation;

/// What Lambda gives a process between SIGTERM and SIGKILL where all extensions are internal ones.
const ANNOUNCED: Duration = Duration::from_millis(500);

impl Sandbox<'_> {
    /// Waits for an event; `None` when the environment is to be killed, which its process then
    /// knows if it has asked to be told.
    pub(super) async fn next_event(&mut self, next: &mut NextReply) -> Option<Invocation> {
        let invocation = self.idle(next).await;
        if invocation.is_none() && self.trouble.is_none() && self.api.has_extension() {
            self.announce_end().await;
        }
        invocation
    }

    async fn announce_end(&mut self) {
        self.process.terminate();
        let until = Instant::now() + ANNOUNCED;
        loop {
            match self.happening(until).await {
                Happening::Exited(_) => return,
                Happening::Elapsed => {
                    let late = format!("still runs {ANNOUNCED:?} after SIGTERM, and is killed");
                    return self.log.write(LogSource::Platform, &late);
                }
                // Nothing can be asked of it any more, and it has nothing to ask.
                Happening::Called(_) | Happening::Told(_) => {}
            }
        }
    }
}
