//! The event source mapping as a task that can be stopped.

use aws_sdk_sqs::Client;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::Config;
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
    /// Checks the settings as AWS does when a mapping is created, and begins to poll.
    pub(super) async fn start(
        config: &Config,
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
            // An error means that the owner is gone, which is a reason to end as well.
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

    /// Waits for its end.
    pub(super) async fn wait(&mut self) {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        // How it ended does not matter to those who wait for it: it has no result, and a panic is
        // printed by the runtime.
        let _ = task.await;
        // A task that was waited for to its end must not be waited for again.
        self.task = None;
    }

    /// Lets the batches that are being handled end.
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
    async fn a_feed_that_has_ended_by_itself_can_be_stopped() {
        let mut mapping = MappingTask {
            task: Some(tokio::spawn(async {})),
            stop: watch::Sender::new(false),
            stats: MappingStats::default(),
        };
        mapping.wait().await;
        mapping.stop().await;
    }
}
