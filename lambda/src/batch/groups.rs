//! Groups of records that are handled one after another.

use std::collections::HashMap;

use crate::event::{SqsBatch, SqsRecord};
use crate::queue::BatchQueues;

/// Positions of records that are handled one after another: the records of a FIFO message group, or
/// a single record of a standard queue.
pub(super) type RecordGroup = Vec<usize>;

/// Returns the groups of a batch, in the order of their first records.
pub(super) fn group_records(batch: &SqsBatch, queues: &BatchQueues) -> Vec<RecordGroup> {
    let mut groups: Vec<RecordGroup> = Vec::with_capacity(batch.len());
    let mut positions: HashMap<(String, String), usize> = HashMap::new();
    for (index, record) in batch.records().enumerate() {
        let Some(key) = fifo_key(&record, queues) else {
            groups.push(vec![index]);
            continue;
        };
        let position = *positions.entry(key).or_insert(groups.len());
        match groups.get_mut(position) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

/// Returns the queue and the message group of a record from a FIFO queue. Groups with the same name
/// on different queues are independent.
fn fifo_key(record: &SqsRecord<'_>, queues: &BatchQueues) -> Option<(String, String)> {
    let queue = queues.find_queue(record).filter(|_| record.is_fifo())?;
    let group = record.group_id().unwrap_or_default();
    Some((queue.name().to_owned(), group.into_owned()))
}
