//! Processing of a batch whose handler gets all messages at once.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use opentelemetry::trace::TraceContextExt as _;
use tokio::task::coop::consume_budget;

use super::groups::group_records;
use super::record_failure::RecordFailure;
use super::{
    ActiveBatch, BatchProcessor, GROUP_BLOCKED, RecordOutcome, StartedRecord, start_handler,
};
use crate::handler::{BoxedBatchHandler, DecodedBatch, Settlements};

/// A record whose body has been decoded, or could not be, and its result so far.
struct DecodedRecord {
    started: StartedRecord,
    result: Result<(), RecordFailure>,
}

/// Processing of one batch.
pub(super) struct WholeBatch<'a> {
    processor: &'a BatchProcessor,
    active: &'a ActiveBatch<'a>,
    /// Position of each record's message group.
    groups: Vec<usize>,
}

impl<'a> WholeBatch<'a> {
    pub(super) fn new(processor: &'a BatchProcessor, active: &'a ActiveBatch<'a>) -> Self {
        let mut groups = vec![0; active.batch.len()];
        let records = group_records(&active.batch, &active.context.queues);
        for (position, group) in records.into_iter().enumerate() {
            group.into_iter().for_each(|index| groups[index] = position);
        }
        Self {
            processor,
            active,
            groups,
        }
    }

    /// Handles the records. Returns those that failed.
    pub(super) async fn process(&self, handler: &BoxedBatchHandler) -> Vec<usize> {
        let mut decoded = handler.start();
        let (mut records, mut failed) = self.decode(&mut *decoded).await;
        self.run(decoded, &mut records).await;
        failed.extend(self.finish(records).await);
        failed
    }

    /// Decodes the bodies of the records. Returns the records with the results of decoding, and
    /// those that were skipped.
    async fn decode(&self, decoded: &mut dyn DecodedBatch) -> (Vec<DecodedRecord>, Vec<usize>) {
        let Self {
            processor, active, ..
        } = self;
        let (mut records, mut skipped) = (Vec::new(), Vec::new());
        let mut blocked = HashSet::new();
        for index in 0..active.batch.len() {
            // Decoding many large bodies must not keep the task that watches the deadlines from
            // running.
            consume_budget().await;
            if let Some(reason) = active.cancellation.check_drain() {
                let rest: Vec<usize> = (index..active.batch.len()).collect();
                processor.skip_records(active, &rest, reason.into());
                skipped.extend(rest);
                break;
            }
            let group = self.groups[index];
            if blocked.contains(&group) {
                processor.skip_records(active, &[index], GROUP_BLOCKED);
                skipped.push(index);
                continue;
            }
            let started = processor.begin_record(active, index);
            let decode = || decoded.decode(&active.batch, index, processor.config.envelope);
            let result = match start_handler(&started.context, decode) {
                Ok(result) => result.map_err(RecordFailure::from_invalid_body),
                Err(failure) => Err(failure),
            };
            // After a message that goes to the dead-letter queue, its group is continued.
            if let Err(failure) = &result
                && processor
                    .dead_letter_queue_for(active, index, failure)
                    .is_none()
            {
                blocked.insert(group);
            }
            records.push(DecodedRecord { started, result });
        }
        (records, skipped)
    }

    /// Runs the handler with the messages that were decoded, and sets their results.
    async fn run(&self, decoded: Box<dyn DecodedBatch>, records: &mut [DecodedRecord]) {
        let Self {
            processor, active, ..
        } = self;
        let mut given: Vec<&mut DecodedRecord> =
            records.iter_mut().filter(|it| it.result.is_ok()).collect();
        if given.is_empty() {
            return;
        }
        if let Some(reason) = active.cancellation.check_drain() {
            active.metrics.record_stop(reason.error_type());
            for record in given {
                record.result = Err(RecordFailure::from_skip(reason.into()));
            }
            return;
        }
        let contexts = given.iter().map(|it| it.started.context.clone());
        let settlements = Arc::new(Settlements::new(contexts.collect()));
        let start = || decoded.handle(Arc::clone(&settlements));
        let unsettled = match start_handler(&active.span, start) {
            Ok(handler) => {
                processor
                    .run_until_cancelled(active, &active.span, handler)
                    .await
            }
            Err(failure) => Err(failure),
        };
        if let Err(failure) = &unsettled {
            failure.set_on(&active.span);
        }
        for (record, settlement) in given.iter_mut().zip(settlements.take()) {
            record.result = match settlement {
                Some(Err(failure)) => Err(processor.record_failure(failure)),
                Some(Ok(())) => Ok(()),
                None => unsettled.clone(),
            };
        }
    }

    /// Finishes the records, each message group in order and the groups concurrently. Returns the
    /// records that failed.
    async fn finish(&self, records: Vec<DecodedRecord>) -> Vec<usize> {
        let concurrency = self.processor.config.concurrency.get();
        let group_count = self.groups.iter().max().map_or(0, |last| last + 1);
        let mut groups: Vec<Vec<DecodedRecord>> = Vec::new();
        groups.resize_with(group_count, Vec::new);
        for record in records {
            groups[self.groups[record.started.index]].push(record);
        }
        stream::iter(groups)
            .map(|group| self.finish_group(group))
            .buffer_unordered(concurrency)
            .flat_map(stream::iter)
            .collect()
            .await
    }

    /// Finishes the records of a group. All records after one that failed are returned too, because
    /// SQS would otherwise delete them and redeliver the failed one after them.
    async fn finish_group(&self, group: Vec<DecodedRecord>) -> Vec<usize> {
        let mut failed = Vec::new();
        for DecodedRecord { started, result } in group {
            let index = started.index;
            if !failed.is_empty() {
                self.finish_blocked(&started, result);
                failed.push(index);
                continue;
            }
            let outcome = self
                .processor
                .finish_record(self.active, started, result)
                .await;
            if outcome == RecordOutcome::Failed {
                failed.push(index);
            }
        }
        failed
    }

    /// Ends the span of a record that is returned because an earlier one of its group failed. Its
    /// own failure is reported if it has one, but a permanent one is not sent to the dead-letter
    /// queue, because the message is redelivered.
    fn finish_blocked(&self, record: &StartedRecord, result: Result<(), RecordFailure>) {
        let (active, policy) = (self.active, &self.processor.failure_policy);
        let blocked = || RecordFailure::from_skip(GROUP_BLOCKED);
        let failure = result.as_ref().err().cloned().unwrap_or_else(blocked);
        let error_type = Some(failure.error_type);
        active.metrics.finish_record(&record.timer, error_type);
        policy.call_observer(record.index, &failure);
        match result {
            Ok(()) => failure.set_on(&record.context),
            Err(_) => {
                let _active = record.context.clone().attach();
                failure.report(&record.context, &active.batch.record(record.index));
            }
        }
        record.context.span().end();
        active.guard.end_record(record.index, false);
    }
}
