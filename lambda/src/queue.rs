//! The queues that a batch's records come from.

use std::sync::Arc;

use opentelemetry::StringValue;

use crate::event::{Batch, Record};

/// A queue, by the ARN that its records carry.
#[derive(Debug)]
pub(crate) struct Queue {
    arn: Box<str>,
    name: Arc<str>,
}

impl Queue {
    /// `None` when the ARN does not end in a name.
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

    /// The name as an attribute's value, which shares the text.
    pub(crate) fn name_value(&self) -> StringValue {
        Arc::clone(&self.name).into()
    }
}

/// The queues of one batch. Almost always there is one: an event source mapping reads a single
/// queue.
#[derive(Debug)]
pub(crate) struct BatchQueues {
    queues: Vec<Queue>,
    /// Whether some record does not say which queue it came from.
    has_unknown: bool,
}

impl BatchQueues {
    pub(crate) fn from_batch(batch: &Batch) -> Self {
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

    /// The queue that a record of this batch came from.
    pub(crate) fn find_queue(&self, record: &Record<'_>) -> Option<&Queue> {
        self.find_arn(&record.queue_arn()?)
    }

    /// The one queue of the batch; `None` when there are several.
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
