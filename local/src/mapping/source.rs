//! The running mapping: one poller, and as many invocations at once as it may have.

use std::{future::Future, pin::pin, time::Duration};

use aws_sdk_sqs::{Client, types::QueueAttributeName};
use bytes::Bytes;
use tokio::{task::JoinSet, time::timeout};
use tracing::warn;

use super::{
    Mapping, MappingError, Outcome, Responses, Stats,
    back_off::{Availability, BackOff},
    batch::{Batch, Poller},
    config::Queue,
    event::{self, Record, Source},
    outcome, settle,
};
use crate::environment::{InvokeError, Lambda};

/// How long invocations may still run after the stop signal; their records are delivered again if
/// they do not make it.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Creates a mapping and runs it: short for [`EventSource::connect`] and [`EventSource::run`].
///
/// # Errors
///
/// When the settings are not accepted, or the queue cannot be read.
pub async fn run(
    mapping: Mapping,
    sqs: Client,
    lambda: Lambda,
    shutdown: impl Future<Output = ()>,
) -> Result<(), MappingError> {
    EventSource::connect(mapping, sqs, lambda)
        .await?
        .run(shutdown)
        .await;
    Ok(())
}

/// A mapping that was checked and can be run.
#[derive(Debug)]
pub struct EventSource {
    poller: Poller,
    delivery: Delivery,
    max_concurrency: usize,
}

impl EventSource {
    /// Reads the queue's attributes and checks the settings as `CreateEventSourceMapping` does.
    ///
    /// # Errors
    ///
    /// When the settings are not accepted, or the queue cannot be read.
    pub async fn connect(
        mapping: Mapping,
        sqs: Client,
        lambda: Lambda,
    ) -> Result<Self, MappingError> {
        let queue = read_queue(&sqs, &mapping.queue_url).await?;
        mapping.check(&queue, lambda.function().timeout)?;
        let stats = Stats::default();
        let delivery = Delivery {
            sqs: sqs.clone(),
            queue_url: mapping.queue_url.clone(),
            responses: mapping.responses,
            lambda,
            stats: stats.clone(),
        };
        let max_concurrency = mapping.max_concurrency.get();
        Ok(Self {
            poller: Poller::new(sqs, mapping, queue.source, stats),
            delivery,
            max_concurrency,
        })
    }

    /// The counters, which can be read while the mapping runs and after.
    pub fn stats(&self) -> Stats {
        self.delivery.stats.clone()
    }

    /// Polls and invokes until `shutdown` completes. Then stops polling, hands out the batch that
    /// was being gathered, and lets invocations finish for ten seconds at most. Records that did
    /// not fit into that batch are left to the queue: like those of an invocation that takes too
    /// long, they come back after their visibility timeout.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut invocations = Invocations::default();
        let mut stopped = false;
        while !stopped {
            let mut batch = Batch::new();
            stopped = tokio::select! {
                () = &mut shutdown => true,
                () = async {
                    invocations.ready_for_another(self.max_concurrency).await;
                    self.poller.gather(&mut batch).await;
                } => false,
            };
            if !batch.is_empty() {
                invocations
                    .running
                    .spawn(self.delivery.clone().deliver(batch.into_records()));
            }
        }
        if timeout(DRAIN_LIMIT, invocations.all_ended()).await.is_err() {
            warn!("invocations did not end in time; their records will be delivered again");
        }
    }
}

/// Invocations under way, and how the function has fared of late.
#[derive(Debug, Default)]
struct Invocations {
    running: JoinSet<Availability>,
    back_off: BackOff,
}

impl Invocations {
    /// Waits until one more invocation may run, so that no message ages in flight for want of a
    /// turn. Can be cancelled.
    async fn ready_for_another(&mut self, max_concurrency: usize) {
        loop {
            while let Some(ended) = self.running.try_join_next() {
                self.back_off.note(ended.unwrap_or(Availability::Available));
            }
            if self.running.len() < max_concurrency {
                break;
            }
            if let Some(ended) = self.running.join_next().await {
                self.back_off.note(ended.unwrap_or(Availability::Available));
            }
        }
        self.back_off.over().await;
    }

    async fn all_ended(&mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

/// What an invocation needs.
#[derive(Clone, Debug)]
struct Delivery {
    sqs: Client,
    queue_url: String,
    responses: Responses,
    lambda: Lambda,
    stats: Stats,
}

impl Delivery {
    /// Invokes the function with a batch and deletes what succeeded.
    async fn deliver(self, records: Vec<Record>) -> Availability {
        self.stats.invoked();
        let result = self.lambda.invoke(event::event(&records)).await;
        let availability = match &result {
            Err(error) if error.is_unavailable() => Availability::Unavailable,
            Ok(_) | Err(_) => Availability::Available,
        };
        if availability == Availability::Unavailable {
            self.stats.unavailable();
        }
        let succeeded = self.succeeded(result, &records);
        self.stats
            .settled(succeeded.len(), records.len() - succeeded.len());
        settle::delete(&self.sqs, &self.queue_url, &succeeded, &self.stats).await;
        availability
    }

    /// The receipt handles of the records that succeeded.
    fn succeeded<'a>(
        &self,
        result: Result<Bytes, InvokeError>,
        records: &'a [Record],
    ) -> Vec<&'a str> {
        let message_ids = records.iter().map(|record| record.message_id.as_str());
        let outcome = match (result, self.responses) {
            (Ok(_), Responses::Ignored) => Outcome::Success,
            (Ok(response), Responses::ReportBatchItemFailures) => {
                outcome::outcome(&response, message_ids)
            }
            (Err(error), _) => {
                self.stats.invocation_failed();
                warn!(%error, error_type = error.error_type(), records = records.len(), "invocation failed");
                return Vec::new();
            }
        };
        let handles = |failed: &dyn Fn(&Record) -> bool| {
            records
                .iter()
                .filter(|record| !failed(record))
                .map(|record| record.receipt_handle.as_str())
                .collect()
        };
        match outcome {
            Outcome::Success => handles(&|_| false),
            Outcome::Partial(failed) => handles(&|record| failed.contains(&record.message_id)),
            Outcome::Failure(refusal) => {
                self.stats.invocation_failed();
                warn!(error = %refusal, records = records.len(), "response fails its whole batch");
                Vec::new()
            }
        }
    }
}

async fn read_queue(sqs: &Client, queue_url: &str) -> Result<Queue, MappingError> {
    let answer = sqs
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
        answer
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
    let arn = value(QueueAttributeName::QueueArn);
    let source = Source::of(&arn)
        .ok_or_else(|| unexpected("QueueArn", arn, "arn:aws:sqs:region:account:name"))?;
    let visibility = value(QueueAttributeName::VisibilityTimeout);
    let seconds = visibility
        .parse()
        .map_err(|_| unexpected("VisibilityTimeout", visibility, "seconds"))?;
    Ok(Queue {
        source,
        visibility_timeout: Duration::from_secs(seconds),
    })
}
