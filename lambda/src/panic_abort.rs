//! Panic handling for functions built with `panic = "abort"`, where the first panic ends the
//! process.
//!
//! A panic does not unwind there, so it cannot be turned into one failed message. Instead, the
//! panic hook, which runs before the process aborts, takes three steps. It responds to the current
//! invocations, so that completed messages are deleted and only the others are redelivered. It
//! writes finished spans to stdout. It then replaces the process with a new one, because Lambda
//! counts an invocation as failed if the runtime exits before it polls for the next event
//! (aws-lambda-runtime-interface-emulator, `internal/lambda/rapid/handlers.go`, `doInvoke`).

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{env, mem, panic};

use baton_telemetry::Telemetry;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tracing::error;

use crate::config::{
    ConsumerConfig, PartialResponse, SUSPECTS, read_suspects, runtime_api_address,
};
use crate::spans;

mod response;

/// `error.type` for messages that were being handled at the time of the panic.
const PANIC: &str = "panic";
const DESCRIPTION: &str = "a panic ended the process while the message was being handled";

/// Maximum number of suspects handed to the next process. By default, ten messages are handled at
/// the same time.
const MAX_SUSPECTS: usize = 100;

/// Returns `true` if this program replaced one that panicked, in the same process.
pub(crate) fn is_restarted() -> bool {
    env::var_os(SUSPECTS).is_some()
}

/// Batches in progress, shared with the panic hook. Clones share the same state.
#[derive(Debug, Clone, Default)]
pub(crate) struct PanicHook {
    batches: Arc<Mutex<Vec<RegisteredBatch>>>,
    /// Ids of messages that were being handled when an earlier process panicked. One of them caused
    /// the panic.
    suspects: Arc<[String]>,
}

/// A registered batch in progress. Dropping it removes the batch from the hook.
#[derive(Debug)]
pub(crate) struct BatchGuard {
    hook: PanicHook,
    request_id: String,
}

#[derive(Debug)]
struct RegisteredBatch {
    request_id: String,
    span: Context,
    /// Message ids of records that are not complete, by position.
    unfinished: BTreeMap<usize, Option<Arc<str>>>,
    /// Contexts that hold the spans of records being handled.
    running: BTreeMap<usize, Context>,
}

impl PanicHook {
    /// Installs the panic hook in builds where a panic aborts the process. Returns the batches that
    /// the hook responds for.
    pub(crate) fn install(config: &ConsumerConfig, telemetry: &Telemetry) -> Self {
        let hook = Self {
            suspects: read_suspects().into(),
            ..Self::default()
        };
        if cfg!(panic = "abort") {
            let previous = panic::take_hook();
            let (installed, telemetry) = (hook.clone(), telemetry.clone());
            let responds = config.partial_response == PartialResponse::On;
            let response_lock = Mutex::new(());
            panic::set_hook(Box::new(move |info| {
                previous(info);
                // The process aborts as soon as one thread returns from the hook. A second thread
                // that panics therefore waits until the first has responded.
                let _guard = response_lock.lock().unwrap_or_else(PoisonError::into_inner);
                installed.respond_and_restart(responds, &telemetry);
            }));
        }
        hook
    }

    /// Returns `true` if the message was being handled when an earlier process panicked. Such
    /// messages are handled last and one at a time, so that the one that panics fails alone.
    pub(crate) fn is_suspect(&self, id: Option<&str>) -> bool {
        id.is_some_and(|id| self.suspects.iter().any(|suspect| suspect == id))
    }

    pub(crate) fn register_batch(
        &self,
        request_id: &str,
        span: &Context,
        ids: &[Option<Arc<str>>],
    ) -> BatchGuard {
        self.lock_batches().push(RegisteredBatch {
            request_id: request_id.to_owned(),
            span: span.clone(),
            unfinished: ids.iter().cloned().enumerate().collect(),
            running: BTreeMap::new(),
        });
        BatchGuard {
            hook: self.clone(),
            request_id: request_id.to_owned(),
        }
    }

    /// Runs in the panic hook. Replaces the process if the Runtime API accepted the response to
    /// every batch in progress. Otherwise, and if no batch is in progress, returns and lets the
    /// process abort.
    fn respond_and_restart(&self, responds: bool, telemetry: &Telemetry) {
        // Taken, so that a second thread that panics does not respond again.
        let batches = mem::take(&mut *self.lock_batches());
        let runtime_api = runtime_api_address().filter(|_| responds);
        let accepted = runtime_api.is_some_and(|runtime_api| {
            let respond = |batch: &RegisteredBatch| {
                let failed = batch.unfinished_ids();
                failed.is_some_and(|ids| response::send(&runtime_api, &batch.request_id, &ids))
            };
            !batches.is_empty() && batches.iter().all(respond)
        });
        batches.iter().for_each(RegisteredBatch::end_spans);
        error!(
            batches = batches.len(),
            responded = accepted,
            "panic ended the process: it was built with panic = \"abort\""
        );
        // After `end_spans`, so that the spans of the batches are among those written.
        telemetry.spill_pending();
        if accepted {
            restart(&self.next_suspects(&batches));
        }
    }

    /// Returns the ids of the messages being handled, followed by the suspects known before.
    fn next_suspects(&self, batches: &[RegisteredBatch]) -> Vec<String> {
        let running = batches.iter().flat_map(RegisteredBatch::running_ids);
        let known = self.suspects.iter().map(String::as_str);
        let mut suspects: Vec<String> = Vec::new();
        for id in running.chain(known) {
            if suspects.len() < MAX_SUSPECTS && !suspects.iter().any(|suspect| suspect == id) {
                suspects.push(id.to_owned());
            }
        }
        suspects
    }

    fn lock_batches(&self) -> MutexGuard<'_, Vec<RegisteredBatch>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BatchGuard {
    pub(crate) fn start_record(&self, index: usize, context: &Context) {
        self.update(|batch| {
            batch.running.insert(index, context.clone());
        });
    }

    pub(crate) fn end_record(&self, index: usize, is_done: bool) {
        self.update(|batch| {
            batch.running.remove(&index);
            if is_done {
                batch.unfinished.remove(&index);
            }
        });
    }

    fn update(&self, change: impl FnOnce(&mut RegisteredBatch)) {
        let mut batches = self.hook.lock_batches();
        let batch = batches
            .iter_mut()
            .find(|batch| batch.request_id == self.request_id);
        if let Some(batch) = batch {
            change(batch);
        }
    }
}

impl Drop for BatchGuard {
    fn drop(&mut self) {
        let mut batches = self.hook.lock_batches();
        batches.retain(|batch| batch.request_id != self.request_id);
    }
}

impl RegisteredBatch {
    /// Returns the ids of messages that are not complete; `None` if one has no id, because SQS
    /// would then delete it.
    fn unfinished_ids(&self) -> Option<Vec<&str>> {
        self.unfinished.values().map(Option::as_deref).collect()
    }

    fn running_ids(&self) -> impl Iterator<Item = &str> {
        let ids = self
            .running
            .keys()
            .filter_map(|index| self.unfinished.get(index));
        ids.filter_map(Option::as_deref)
    }

    fn end_spans(&self) {
        for context in self.running.values() {
            spans::set_failure(context, PANIC, DESCRIPTION.to_owned());
            context.span().end();
        }
        self.span.span().end();
    }
}

/// Replaces the process with a new one of the same program, which reads the suspects from its
/// environment. Returns if that fails.
fn restart(suspects: &[String]) {
    let mut arguments = env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).env(SUSPECTS, suspects.join(","));
    let failed = command.exec();
    error!(
        error = &failed as &dyn std::error::Error,
        "failed to restart the process after a panic"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(hook: &PanicHook) -> BatchGuard {
        let ids = [Some("m-0".into()), Some("m-1".into()), Some("m-2".into())];
        hook.register_batch("request-1", &Context::new(), &ids)
    }

    #[test]
    fn only_unfinished_messages_are_reported_as_failed() {
        let hook = PanicHook::default();
        let batch = batch(&hook);
        for index in 0..3 {
            batch.start_record(index, &Context::new());
        }
        batch.end_record(1, true);
        batch.end_record(2, false);
        assert_eq!(
            hook.lock_batches()[0].unfinished_ids(),
            Some(vec!["m-0", "m-2"])
        );
        assert_eq!(hook.lock_batches()[0].running.len(), 1);
    }

    #[test]
    fn no_response_is_sent_if_an_unfinished_message_has_no_id() {
        let hook = PanicHook::default();
        let batch = hook.register_batch("request-1", &Context::new(), &[Some("m-0".into()), None]);
        assert_eq!(hook.lock_batches()[0].unfinished_ids(), None);
        batch.end_record(1, true);
        assert_eq!(hook.lock_batches()[0].unfinished_ids(), Some(vec!["m-0"]));
    }

    #[test]
    fn a_batch_is_removed_when_it_ends() {
        let hook = PanicHook::default();
        let (first, second) = (
            batch(&hook),
            hook.register_batch("request-2", &Context::new(), &[]),
        );
        drop(first);
        assert_eq!(hook.lock_batches()[0].request_id, "request-2");
        drop(second);
        assert!(hook.lock_batches().is_empty());
    }

    #[test]
    fn messages_being_handled_at_a_panic_become_suspects() {
        let hook = PanicHook {
            suspects: ["m-9".to_owned(), "m-0".to_owned()].into(),
            ..PanicHook::default()
        };
        let batch = batch(&hook);
        for index in 0..3 {
            batch.start_record(index, &Context::new());
        }
        batch.end_record(1, true);
        batch.end_record(2, false);
        assert_eq!(hook.next_suspects(&hook.lock_batches()), ["m-0", "m-9"]);
        assert!(hook.is_suspect(Some("m-9")));
        assert!(!hook.is_suspect(Some("m-1")) && !hook.is_suspect(None));
    }
}
