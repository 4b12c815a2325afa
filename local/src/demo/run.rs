//! The course of the demo: send, wait, kill the function, and collect the observations.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::checks::{self, Observations};
use super::dead_letters::DeadLetters;
use super::error::DemoError;
use super::keys::PROCESS_SPAN;
use super::message_trace::{self, AcceptedMessage};
use super::report::DemoReport;
use super::scenario::{self, ExpectedCounts, Onboarding};
use super::span_counts::SpanCountsByProcess;
use super::{requests, tree};
use crate::AllowedHosts;
use crate::environment::Freeze;
use crate::otlp::{SpanKind, SpanStore, StoredSpan};
use crate::stack::{
    FunctionWatcher, Logging, Ports, ProcessLog, QueueConfig, QueueName, Stack, StackConfig,
    StackError,
};

/// Maximum number of messages in a batch: few enough that a dozen messages form several batches in
/// two environments.
const BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(5).expect("not zero");
/// Time for which a batch is gathered: longer than the requests take to arrive, so that batches
/// become full.
const BATCHING_WINDOW: Duration = Duration::from_millis(300);
/// Maximum number of environments.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");
/// Number of deliveries before a message goes to the dead-letter queue: a usual value.
const MAX_RECEIVE_COUNT: NonZeroU32 = NonZeroU32::new(3).expect("not zero");
/// Time for which a failed message stays hidden. The poison message is hidden three times, so this
/// determines the duration of the demo. It is long enough for a busy machine to start an
/// environment and handle a batch.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(3);
/// Time limit of an invocation: the maximum that AWS allows with that visibility timeout.
const FUNCTION_TIMEOUT: Duration = VISIBILITY_TIMEOUT;
/// Idle time after which an environment is killed: longer than the demo, which kills the
/// environments itself.
const IDLE_AFTER: Duration = Duration::from_secs(600);

/// Time limit for all messages to be processed or dead-lettered, in addition to the visibility
/// timeouts of the poison message.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time limit for late spans after the poison message has arrived: all others were handled seconds
/// before.
const LATE_SPANS_TIMEOUT: Duration = Duration::from_secs(5);

/// A started stack and the messages that will be sent through it.
#[derive(Debug)]
pub struct Demo {
    stack: Stack,
    watch: FunctionWatcher,
    onboardings: Vec<Onboarding>,
}

/// Progress of the demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DemoProgress {
    /// Start of an action that takes a while.
    Started(String),
    /// End of an action.
    Done(String),
    /// Timeout of an action; the report describes the consequences.
    TimedOut(String),
}

impl Demo {
    /// Starts the stack with these binaries, and tells the function which messages to mishandle.
    ///
    /// # Errors
    ///
    /// Fails if the stack does not start.
    pub async fn start(function: PathBuf, producer: PathBuf) -> Result<Self, StackError> {
        let onboardings = scenario::onboardings();
        let config = StackConfig {
            function,
            producer: Some(producer),
            ports: Ports::default(),
            queue: QueueConfig {
                name: QueueName::default(),
                visibility_timeout: VISIBILITY_TIMEOUT,
                max_receive_count: MAX_RECEIVE_COUNT,
            },
            batch_size: BATCH_SIZE,
            batching_window: BATCHING_WINDOW,
            concurrency: CONCURRENCY,
            function_timeout: FUNCTION_TIMEOUT,
            idle_after: IDLE_AFTER,
            freeze: Freeze::BetweenInvocations,
            faults: scenario::faults(&onboardings),
            variables: Vec::new(),
            logging: Logging::SpanCounts,
            allowed_hosts: AllowedHosts::default(),
            metrics_address: None,
        };
        let stack = Stack::start(config).await?;
        let watch = stack.watch_function();
        Ok(Self {
            stack,
            watch,
            onboardings,
        })
    }

    /// Sends the messages, waits until each is processed or dead-lettered, and returns the report.
    /// Afterwards the function and the producer have stopped; [`stop`](Self::stop) stops the rest.
    ///
    /// # Errors
    ///
    /// Fails if a request is not accepted or a part of the stack stops. Unexpected counts are not
    /// an error: the report contains them.
    pub async fn run(
        &mut self,
        mut show: impl FnMut(DemoProgress),
    ) -> Result<DemoReport, DemoError> {
        let max_receive_count = MAX_RECEIVE_COUNT.get() as usize;
        let expected = scenario::expected_counts(&self.onboardings, max_receive_count);
        show(DemoProgress::Started(format!(
            "sending {} onboardings",
            self.onboardings.len()
        )));
        let producer = self.stack.producer_address();
        let producer = producer.ok_or(DemoError::NoProducer)?;
        let accepted = requests::send_all(producer, &self.onboardings).await?;
        show(DemoProgress::Done(format!(
            "{} onboardings accepted",
            accepted.len()
        )));

        let hidden = VISIBILITY_TIMEOUT * MAX_RECEIVE_COUNT.get();
        show(DemoProgress::Started(format!(
            "waiting for retries and the dead-letter queue, about {} s",
            hidden.as_secs()
        )));
        let mut dead_letters = DeadLetters::default();
        let in_time = self
            .wait_until_settled(&expected, &accepted, &mut dead_letters, hidden)
            .await?;
        show(if in_time {
            DemoProgress::Done("every message was processed or dead-lettered".to_owned())
        } else {
            DemoProgress::TimedOut("timed out waiting for spans".to_owned())
        });

        show(DemoProgress::Started(
            "killing the function without warning, stopping the producer".to_owned(),
        ));
        self.stack.stop_mapping().await;
        self.stack.lambda().kill_idle().await;
        self.stack.stop_producer().await;
        show(DemoProgress::Done(
            "function and producer have stopped".to_owned(),
        ));
        dead_letters
            .read_rest(self.stack.sqs(), &self.stack.endpoints().dead_letter_queue)
            .await?;
        Ok(self.report(&expected, accepted, dead_letters))
    }

    /// Stops the remaining parts. No process is left when it returns.
    pub async fn stop(self) {
        self.stack.stop().await;
    }

    /// Waits until the poison message is in the dead-letter queue and the span of every delivery
    /// has arrived. Returns false after the time limit.
    async fn wait_until_settled(
        &mut self,
        expected: &ExpectedCounts,
        accepted: &[AcceptedMessage],
        dead_letters: &mut DeadLetters,
        hidden: Duration,
    ) -> Result<bool, DemoError> {
        let (sqs, spans) = (self.stack.sqs().clone(), self.stack.spans().clone());
        let queue_url = self.stack.endpoints().dead_letter_queue.clone();
        let ordinary = scenario::ordinary_messages(&self.onboardings, accepted);
        let is_delivery =
            |span: &&Arc<StoredSpan>| tree::matches(span, SpanKind::Consumer, PROCESS_SPAN);
        let settled = async {
            let in_queue = dead_letters.wait_for(expected.dead_lettered, &sqs, &queue_url);
            if let Ok(read) = timeout(hidden + SETTLE_TIMEOUT, in_queue).await {
                read?;
            }
            let all_spans = spans.wait_until(|spans| {
                spans.iter().filter(is_delivery).count() >= expected.deliveries()
            });
            Ok(timeout(LATE_SPANS_TIMEOUT, all_spans).await.is_ok())
        };
        tokio::select! {
            settled = settled => settled,
            // Waiting for the rest would take up to a minute, and the counts would be less
            // informative than this error.
            failed = wait_for_ordinary_failure(&spans, &ordinary) => Err(failed),
            error = self.stack.wait_for_failure() => Err(error.into()),
            ended = self.watch.next() => Err(StackError::Function(ended).into()),
        }
    }

    fn report(
        &self,
        expected: &ExpectedCounts,
        accepted: Vec<AcceptedMessage>,
        dead_letters: DeadLetters,
    ) -> DemoReport {
        let observed = Observations {
            accepted,
            dead_letters: dead_letters.message_ids,
            mapping: self.stack.mapping_stats(),
            spans: message_trace::deduplicate(self.stack.spans().spans()),
            totals: self.stack.spans().totals(),
            span_counts: read_logs(&self.stack),
        };
        let traces =
            message_trace::collect(&observed.accepted, &observed.spans, &observed.dead_letters);
        let result = checks::compare(expected, &observed, &traces);
        let kinds = self.onboardings.iter().map(|onboarding| onboarding.kind);
        DemoReport {
            traces: traces.into_iter().zip(kinds).collect(),
            batches: message_trace::batch_spans(&observed.spans),
            metrics: self.stack.spans().metrics(),
            result,
        }
    }
}

/// Waits for a span of a message that failed although it has no fault.
async fn wait_for_ordinary_failure(spans: &SpanStore, ordinary: &[AcceptedMessage]) -> DemoError {
    let mut found = None;
    let look = |spans: &[Arc<StoredSpan>]| {
        found = message_trace::collect(ordinary, spans, &[])
            .into_iter()
            .find_map(|trace| {
                let mut failures = trace
                    .deliveries
                    .iter()
                    .filter_map(|span| tree::error_type(span));
                let error_type = failures.next()?.to_owned();
                Some((trace.message.customer_id, error_type))
            });
        found.is_some()
    };
    spans.wait_until(look).await;
    match found {
        Some((customer_id, error_type)) => DemoError::OrdinaryFailed {
            customer_id,
            error_type,
        },
        // The store was dropped, so no one reads the result.
        None => std::future::pending().await,
    }
}

/// Reads the span counts from the logs of the processes.
fn read_logs(stack: &Stack) -> SpanCountsByProcess {
    let mut span_counts = SpanCountsByProcess::default();
    let producer_lines = stack
        .producer_log()
        .map(ProcessLog::lines)
        .unwrap_or_default();
    for line in producer_lines {
        span_counts.read("producer", &line);
    }
    for line in stack.lambda().logs().recent() {
        span_counts.read(&format!("environment {}", line.environment), &line.text);
    }
    span_counts
}
