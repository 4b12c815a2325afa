//! Source queues of a batch.

use std::sync::Arc;

use opentelemetry::StringValue;

use crate::event::{SqsBatch, SqsRecord};

/// The source queue of one or more records.
#[derive(Debug)]
pub(crate) struct Queue {
    arn: Box<str>,
    name: Arc<str>,
}

impl Queue {
    /// Returns `None` if the ARN does not end in a name.
    fn new(arn: &str) -> Option<Self> {
        let name = arn.rsplit(':').next().filter(|name| !name.is_empty())?;
        Some(Self {
            arn: arn.into(),
            name: name.into(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name as an attribute value, without copying the text.
    pub(crate) fn name_value(&self) -> StringValue {
        Arc::clone(&self.name).into()
    }
}

/// Queues of one batch. Usually a single one, because an event source mapping reads one queue.
#[derive(Debug)]
pub(crate) struct BatchQueues {
    queues: Vec<Queue>,
    /// `true` if a record does not name its queue.
    has_unknown: bool,
}

impl BatchQueues {
    pub(crate) fn from_batch(batch: &SqsBatch) -> Self {
        let mut queues = Self {
            queues: Vec::with_capacity(1),
            has_unknown: false,
        };
        for record in batch.records() {
            let arn = record.queue_arn();
            let known = arn
                .as_deref()
                .is_some_and(|arn| queues.find_arn(arn).is_some());
            if known {
                continue;
            }
            match arn.as_deref().and_then(Queue::new) {
                Some(queue) => queues.queues.push(queue),
                None => queues.has_unknown = true,
            }
        }
        queues
    }

    /// Returns the queue of a record of this batch.
    pub(crate) fn find_queue(&self, record: &SqsRecord<'_>) -> Option<&Queue> {
        self.find_arn(&record.queue_arn()?)
    }

    /// Returns the queue of all records, or `None` if they are from several queues.
    pub(crate) fn single_queue(&self) -> Option<&Queue> {
        match self.queues.as_slice() {
            [queue] if !self.has_unknown => Some(queue),
            _ => None,
        }
    }

    fn find_arn(&self, arn: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| &*queue.arn == arn)
    }
}
