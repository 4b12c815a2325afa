//! The task that runs the event source mapping.

use aws_sdk_sqs::Client;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::StackConfig;
use super::error::StackError;
use crate::environment::Lambda;
use crate::mapping::{
    EventSourceMapping, FunctionResponseType, MappingConfig, MappingSnapshot, MappingStats,
};

/// A running event source mapping.
#[derive(Debug)]
pub(super) struct MappingTask {
    task: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    stats: MappingStats,
}

impl MappingTask {
    /// Creates the mapping, with the checks that AWS makes, and starts to poll.
    pub(super) async fn start(
        config: &StackConfig,
        queue_url: &str,
        sqs: Client,
        lambda: Lambda,
    ) -> Result<Self, StackError> {
        let mapping = MappingConfig {
            queue_url: queue_url.to_owned(),
            batch_size: config.batch_size,
            batching_window: config.batching_window,
            response_type: FunctionResponseType::ReportBatchItemFailures,
            max_concurrency: config.concurrency,
        };
        let source = EventSourceMapping::create(mapping, sqs, lambda).await?;
        let stats = source.stats();
        let stop = watch::Sender::new(false);
        let mut stopped = stop.subscribe();
        let task = tokio::spawn(source.run(async move {
            // An error means that the owner is gone, so the mapping stops as well.
            let _ = stopped.wait_for(|stop| *stop).await;
        }));
        Ok(Self {
            task: Some(task),
            stop,
            stats,
        })
    }

    pub(super) fn stats(&self) -> MappingSnapshot {
        self.stats.snapshot()
    }

    /// Waits until the task ends.
    pub(super) async fn wait(&mut self) {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        // The result does not matter: the task returns no value, and the runtime prints its panics.
        let _ = task.await;
        // A finished task must not be awaited again.
        self.task = None;
    }

    /// Stops polling and waits for pending invocations.
    pub(super) async fn stop(&mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_mapping_that_has_ended_can_be_stopped() {
        let mut mapping = MappingTask {
            task: Some(tokio::spawn(async {})),
            stop: watch::Sender::new(false),
            stats: MappingStats::default(),
        };
        mapping.wait().await;
        mapping.stop().await;
    }
}
