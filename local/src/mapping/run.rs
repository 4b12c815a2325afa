//! A running event source mapping: one poller and a limited number of concurrent invocations.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

use super::backoff::{Availability, Backoff};
use super::batch::{Batch, Poller};
use super::config::SourceQueue;
use super::event::{self, EventRecord, EventSourceArn};
use super::{
    BatchOutcome, FunctionResponseType, MappingConfig, MappingError, MappingStats, delete, response,
};
use crate::environment::{InvokeError, Lambda};

/// Time that pending invocations get after the shutdown signal. The records of those that do not
/// finish are delivered again.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A mapping that was checked and is ready to run.
///
/// ```no_run
/// use baton_local::environment::Lambda;
/// use baton_local::mapping::{EventSourceMapping, MappingConfig, MappingError};
///
/// # async fn example(
/// #     config: MappingConfig,
/// #     sqs: aws_sdk_sqs::Client,
/// #     lambda: Lambda,
/// # ) -> Result<(), MappingError> {
/// let mapping = EventSourceMapping::create(config, sqs, lambda).await?;
/// mapping.run(async { drop(tokio::signal::ctrl_c().await) }).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventSourceMapping {
    poller: Poller,
    invoker: BatchInvoker,
    max_concurrency: usize,
}

impl EventSourceMapping {
    /// Creates a mapping: reads the queue's attributes and checks the configuration as
    /// `CreateEventSourceMapping` does.
    ///
    /// # Errors
    ///
    /// Fails if the configuration is not valid or the queue cannot be read.
    pub async fn create(
        config: MappingConfig,
        sqs: Client,
        lambda: Lambda,
    ) -> Result<Self, MappingError> {
        let queue = read_queue(&sqs, &config.queue_url).await?;
        config.check(&queue, lambda.function().timeout)?;
        let stats = MappingStats::default();
        let invoker = BatchInvoker {
            sqs: sqs.clone(),
            queue_url: config.queue_url.clone(),
            response_type: config.response_type,
            lambda,
            stats: stats.clone(),
        };
        let max_concurrency = config.max_concurrency.get();
        Ok(Self {
            poller: Poller::new(sqs, config, queue.arn, stats),
            invoker,
            max_concurrency,
        })
    }

    /// Returns the counters, which can be read while the mapping runs and afterwards.
    pub fn stats(&self) -> MappingStats {
        self.invoker.stats.clone()
    }

    /// Polls and invokes until `shutdown` completes. Then it stops polling, invokes the function
    /// with the batch that was being gathered, and gives pending invocations up to ten seconds to
    /// finish. Records that did not fit into that batch become visible again after their visibility
    /// timeout, as do the records of invocations that take longer.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut invocations = Invocations::default();
        let mut stopped = false;
        while !stopped {
            let mut batch = Batch::new();
            stopped = tokio::select! {
                () = &mut shutdown => true,
                () = async {
                    invocations.wait_for_capacity(self.max_concurrency).await;
                    self.poller.gather(&mut batch).await;
                } => false,
            };
            if !batch.is_empty() {
                invocations
                    .running
                    .spawn(self.invoker.clone().invoke(batch.into_records()));
            }
        }
        if timeout(DRAIN_TIMEOUT, invocations.wait_for_all())
            .await
            .is_err()
        {
            warn!("timed out waiting for invocations: their records will be delivered again");
        }
    }
}

/// Pending invocations, and the backoff that follows from the earlier ones.
#[derive(Debug, Default)]
struct Invocations {
    running: JoinSet<Availability>,
    backoff: Backoff,
}

impl Invocations {
    /// Waits until another invocation may start. Messages are received only then, so that they do
    /// not wait in flight. Cancel safe.
    async fn wait_for_capacity(&mut self, max_concurrency: usize) {
        loop {
            while let Some(ended) = self.running.try_join_next() {
                self.backoff
                    .record(ended.unwrap_or(Availability::Available));
            }
            if self.running.len() < max_concurrency {
                break;
            }
            if let Some(ended) = self.running.join_next().await {
                self.backoff
                    .record(ended.unwrap_or(Availability::Available));
            }
        }
        self.backoff.wait().await;
    }

    async fn wait_for_all(&mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

/// Invokes the function with batches and deletes the messages that succeeded.
#[derive(Clone, Debug)]
struct BatchInvoker {
    sqs: Client,
    queue_url: String,
    response_type: FunctionResponseType,
    lambda: Lambda,
    stats: MappingStats,
}

impl BatchInvoker {
    /// Invokes the function with a batch and deletes the messages that succeeded.
    async fn invoke(self, records: Vec<EventRecord>) -> Availability {
        self.stats.record_invocation();
        let result = self.lambda.invoke(event::build_event(&records)).await;
        let availability = match &result {
            Err(error) if error.is_unavailable() => Availability::Unavailable,
            Ok(_) | Err(_) => Availability::Available,
        };
        if availability == Availability::Unavailable {
            self.stats.record_unavailable();
        }
        let succeeded = self.succeeded_handles(result, &records);
        self.stats
            .record_outcome(succeeded.len(), records.len() - succeeded.len());
        delete::delete_messages(&self.sqs, &self.queue_url, &succeeded, &self.stats).await;
        availability
    }

    /// Returns the receipt handles of the records that succeeded.
    fn succeeded_handles<'a>(
        &self,
        result: Result<Bytes, InvokeError>,
        records: &'a [EventRecord],
    ) -> Vec<&'a str> {
        let message_ids = records.iter().map(|record| record.message_id.as_str());
        let outcome = match (result, self.response_type) {
            (Ok(_), FunctionResponseType::Ignored) => BatchOutcome::Success,
            (Ok(response), FunctionResponseType::ReportBatchItemFailures) => {
                response::parse_response(&response, message_ids)
            }
            (Err(error), _) => {
                self.stats.record_failed_invocation();
                warn!(%error, error_type = error.error_type(), records = records.len(), "invocation failed");
                return Vec::new();
            }
        };
        let handles = |failed: &dyn Fn(&EventRecord) -> bool| {
            records
                .iter()
                .filter(|record| !failed(record))
                .map(|record| record.receipt_handle.as_str())
                .collect()
        };
        match outcome {
            BatchOutcome::Success => handles(&|_| false),
            BatchOutcome::PartialFailure(failed) => {
                handles(&|record| failed.contains(&record.message_id))
            }
            BatchOutcome::Failure(error) => {
                self.stats.record_failed_invocation();
                warn!(error = %error, records = records.len(), "invalid response: the whole batch failed");
                Vec::new()
            }
        }
    }
}

async fn read_queue(sqs: &Client, queue_url: &str) -> Result<SourceQueue, MappingError> {
    let response = sqs
        .get_queue_attributes()
        .queue_url(queue_url)
        .attribute_names(QueueAttributeName::QueueArn)
        .attribute_names(QueueAttributeName::VisibilityTimeout)
        .send()
        .await
        .map_err(|error| MappingError::Queue {
            queue_url: queue_url.to_owned(),
            source: Box::new(error),
        })?;
    let value = |name| {
        response
            .attributes()
            .and_then(|attributes| attributes.get(&name))
            .cloned()
            .unwrap_or_default()
    };
    let unexpected = |name, value, expected| MappingError::Attribute {
        queue_url: queue_url.to_owned(),
        name,
        value,
        expected,
    };
    let text = value(QueueAttributeName::QueueArn);
    let arn = EventSourceArn::parse(&text)
        .ok_or_else(|| unexpected("QueueArn", text, "arn:aws:sqs:region:account:name"))?;
    let visibility = value(QueueAttributeName::VisibilityTimeout);
    let seconds = visibility
        .parse()
        .map_err(|_| unexpected("VisibilityTimeout", visibility, "seconds"))?;
    Ok(SourceQueue {
        arn,
        visibility_timeout: Duration::from_secs(seconds),
    })
}
