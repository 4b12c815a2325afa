//! Ends that nobody planned, and what the caller is told of them.

use super::Sandbox;
use super::running::Running;
use crate::environment::{InvokeError, Trouble};

impl Sandbox<'_> {
    /// Counts the trouble that ends this environment, and remembers it for those who watch.
    pub(super) fn ends_early(&mut self, trouble: Trouble) {
        let counters = &self.surroundings.counters;
        let counter = match trouble {
            Trouble::CannotStart => &counters.init_failed,
            Trouble::Died => &counters.exited,
            Trouble::TimedOut => &counters.timed_out,
        };
        counter.increment();
        self.trouble = Some(trouble);
    }

    pub(super) fn cut_off(&self) -> InvokeError {
        self.surroundings.counters.killed.increment();
        InvokeError::ShutDown
    }

    pub(super) fn exited(&mut self, running: &Running, reason: String) -> InvokeError {
        self.ends_early(Trouble::Died);
        InvokeError::Exited {
            request_id: running.request_id.clone(),
            reason,
        }
    }

    pub(super) fn timed_out(&mut self, running: &Running) -> InvokeError {
        self.ends_early(Trouble::TimedOut);
        let after = self.surroundings.function.timeout;
        InvokeError::TimedOut {
            request_id: running.request_id.clone(),
            after,
        }
    }
}
