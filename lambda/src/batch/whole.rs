//! Processing of a batch whose handler gets all messages at once.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use opentelemetry::trace::TraceContextExt as _;

use super::groups::group_records;
use super::record_failure::RecordFailure;
use super::{
    ActiveBatch, BatchProcessor, GROUP_BLOCKED, RecordOutcome, StartedRecord, run_until_cancelled,
};
use crate::failure::Failure;
use crate::handler::{BoxedBatchHandler, DecodedBatch, Settlements};

/// Result of a record in the handler of its batch.
type RecordResult = Result<(), RecordFailure>;

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
        let Self {
            processor, active, ..
        } = self;
        let all: Vec<usize> = (0..active.batch.len()).collect();
        if let Some(reason) = active.cancellation.check_drain() {
            processor.skip_records(active, &all, reason.into());
            return all;
        }
        let mut decoded = handler.start();
        let (started, mut failed) = self.decode(&mut *decoded).await;
        let results = self.run(decoded, &started).await;
        failed.extend(self.finish(started, results).await);
        failed
    }

    /// Decodes the bodies of all records. Returns the records whose bodies were decoded, and those
    /// that failed. After a record that failed, the rest of its message group is skipped.
    async fn decode(&self, decoded: &mut dyn DecodedBatch) -> (Vec<StartedRecord>, Vec<usize>) {
        let Self {
            processor, active, ..
        } = self;
        let (mut started, mut failed) = (Vec::new(), Vec::new());
        let mut blocked = HashSet::new();
        for index in 0..active.batch.len() {
            let group = self.groups[index];
            if blocked.contains(&group) {
                processor.skip_records(active, &[index], GROUP_BLOCKED);
                failed.push(index);
                continue;
            }
            let record = processor.begin_record(active, index);
            // The user's code decodes the body and may panic.
            let decode = || {
                let _active = record.context.clone().attach();
                decoded.decode(&active.batch, index, processor.config.envelope)
            };
            let result = match catch_unwind(AssertUnwindSafe(decode)) {
                Ok(result) => result.map_err(RecordFailure::from_invalid_body),
                Err(panic) => Err(RecordFailure::from_panic(panic)),
            };
            if result.is_ok() {
                started.push(record);
                continue;
            }
            let outcome = processor.finish_record(active, record, result).await;
            if outcome == RecordOutcome::Failed {
                blocked.insert(group);
                failed.push(index);
            }
        }
        (started, failed)
    }

    /// Runs the handler. Returns the result of each started record.
    async fn run(
        &self,
        decoded: Box<dyn DecodedBatch>,
        started: &[StartedRecord],
    ) -> Vec<RecordResult> {
        if started.is_empty() {
            return Vec::new();
        }
        let Self {
            processor, active, ..
        } = self;
        let contexts = started.iter().map(|record| record.context.clone());
        let settlements = Arc::new(Settlements::new(contexts.collect()));
        let call = async {
            let result = decoded.handle(Arc::clone(&settlements)).await;
            result.map_err(|failure| processor.record_failure(&failure))
        };
        let unsettled = run_until_cancelled(active, &active.span, call).await;
        let settlements = settlements.take().into_iter();
        settlements
            .map(|settlement| match settlement {
                Some(Err(failure)) => Err(self.record_failure(failure)),
                Some(Ok(())) => Ok(()),
                None => unsettled.clone(),
            })
            .collect()
    }

    /// Converts the failure of one message. A panic of the user's code becomes the failure.
    fn record_failure(&self, failure: Failure) -> RecordFailure {
        // The failure is dropped inside, because its destructor may panic too.
        let convert = || self.processor.record_failure(&{ failure });
        catch_unwind(AssertUnwindSafe(convert)).unwrap_or_else(RecordFailure::from_panic)
    }

    /// Finishes the records, each message group in order and the groups concurrently. Returns the
    /// records that failed.
    async fn finish(&self, started: Vec<StartedRecord>, results: Vec<RecordResult>) -> Vec<usize> {
        let concurrency = self.processor.config.concurrency.get();
        let group_count = self.groups.iter().max().map_or(0, |last| last + 1);
        let mut groups: Vec<Vec<(StartedRecord, RecordResult)>> = Vec::new();
        groups.resize_with(group_count, Vec::new);
        for (record, result) in started.into_iter().zip(results) {
            groups[self.groups[record.index]].push((record, result));
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
    async fn finish_group(&self, group: Vec<(StartedRecord, RecordResult)>) -> Vec<usize> {
        let mut failed = Vec::new();
        for (record, result) in group {
            let index = record.index;
            if !failed.is_empty() {
                self.finish_blocked(&record, result);
                failed.push(index);
                continue;
            }
            let outcome = self
                .processor
                .finish_record(self.active, record, result)
                .await;
            if outcome == RecordOutcome::Failed {
                failed.push(index);
            }
        }
        failed
    }

    /// Ends the span of a record that is returned because an earlier record of its group failed.
    fn finish_blocked(&self, record: &StartedRecord, result: RecordResult) {
        let failure = match result {
            Ok(()) => RecordFailure::from_skip(GROUP_BLOCKED),
            Err(failure) => failure,
        };
        let active = self.active;
        let error_type = Some(failure.error_type);
        active.metrics.finish_record(&record.timer, error_type);
        self.processor
            .failure_policy
            .call_observer(record.index, &failure);
        failure.set_on(&record.context);
        record.context.span().end();
        active.guard.end_record(record.index, false);
    }
}
