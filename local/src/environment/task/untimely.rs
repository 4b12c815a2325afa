//! Ends that nobody planned, and what the caller is told of them.

use super::EnvironmentTask;
use super::active_invocation::ActiveInvocation;
use crate::environment::{EarlyExitCause, InvokeError};

impl EnvironmentTask<'_> {
    /// Counts the cause that ends this environment, and remembers it for those who watch.
    pub(super) fn record_early_exit(&mut self, cause: EarlyExitCause) {
        let counters = &self.state.counters;
        let counter = match cause {
            EarlyExitCause::InitFailed => &counters.init_failed,
            EarlyExitCause::Exited => &counters.exited,
            EarlyExitCause::TimedOut => &counters.timed_out,
        };
        counter.increment();
        self.early_exit_cause = Some(cause);
    }

    pub(super) fn record_kill(&self) -> InvokeError {
        self.state.counters.killed.increment();
        InvokeError::ShutDown
    }

    pub(super) fn exit_error(&mut self, active: &ActiveInvocation, reason: String) -> InvokeError {
        self.record_early_exit(EarlyExitCause::Exited);
        InvokeError::Exited {
            request_id: active.request_id.clone(),
            reason,
        }
    }

    pub(super) fn timeout_error(&mut self, active: &ActiveInvocation) -> InvokeError {
        self.record_early_exit(EarlyExitCause::TimedOut);
        let after = self.state.function.timeout;
        InvokeError::TimedOut {
            request_id: active.request_id.clone(),
            after,
        }
    }
}
