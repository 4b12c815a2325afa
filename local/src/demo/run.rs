//! The demo itself: send, wait, end everything the hard way, and look at what is there.

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
use crate::otlp::{Kind, Span, SpanStore};
use crate::stack::{
    Config, FunctionWatcher, Logging, Ports, ProcessLog, QueueConfig, QueueName, Stack, StackError,
};

/// Messages in a batch: so few that a dozen makes several batches, in two environments at once.
const BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(5).expect("not zero");
/// How long a batch is gathered: longer than the requests need to arrive, so that batches fill.
const BATCHING_WINDOW: Duration = Duration::from_millis(300);
/// Environments at once.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");
/// Deliveries before a message is given up; a usual number.
const MAX_RECEIVE_COUNT: NonZeroU32 = NonZeroU32::new(3).expect("not zero");
/// How long a failed message stays hidden. The poison is hidden three times, so this decides how
/// long the demo takes; a busy machine still starts an environment and handles a batch within it.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(3);
/// As long as AWS allows beside that visibility timeout.
const FUNCTION_TIMEOUT: Duration = VISIBILITY_TIMEOUT;
/// Longer than the demo takes: environments are killed when it says so.
const IDLE_AFTER: Duration = Duration::from_secs(600);

/// How long it may take until all messages are where they belong, on top of the visibility timeouts
/// that the poison has to sit out.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long spans may be late once the poison has arrived: everything else was handled seconds
/// before it.
const LATE_SPANS_TIMEOUT: Duration = Duration::from_secs(5);

/// A started stack and the messages that will be sent through it.
#[derive(Debug)]
pub struct Demo {
    stack: Stack,
    watch: FunctionWatcher,
    onboardings: Vec<Onboarding>,
}

/// What the demo is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DemoProgress {
    /// Something begins that takes a while.
    Started(String),
    /// Something was done.
    Done(String),
    /// Something did not happen in time; the report will tell what.
    TimedOut(String),
}

impl Demo {
    /// Starts the stack with these binaries; the function is told which messages to mishandle.
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start(function: PathBuf, producer: PathBuf) -> Result<Self, StackError> {
        let onboardings = scenario::onboardings();
        let config = Config {
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
        };
        let stack = Stack::start(config).await?;
        let watch = stack.watch_function();
        Ok(Self {
            stack,
            watch,
            onboardings,
        })
    }

    /// Sends the messages, waits until each is handled or given up, and reports what became of
    /// them. Afterwards the function and the producer are gone; [`stop`](Self::stop) ends the rest.
    ///
    /// # Errors
    /// When a request is not accepted, or a part of the stack ends. Numbers that are not as they
    /// must be are no error: the report says so.
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
            DemoProgress::Done("every message is where it belongs".to_owned())
        } else {
            DemoProgress::TimedOut("not every message left its spans in time".to_owned())
        });

        show(DemoProgress::Started(
            "killing the function without warning, stopping the producer".to_owned(),
        ));
        self.stack.stop_mapping().await;
        self.stack.function().kill_idle().await;
        self.stack.stop_producer().await;
        show(DemoProgress::Done("both are gone".to_owned()));
        dead_letters
            .read_rest(self.stack.sqs(), &self.stack.endpoints().dead_letter_queue)
            .await?;
        Ok(self.report(&expected, accepted, dead_letters))
    }

    /// Stops what is still running. No process is left when it returns.
    pub async fn stop(self) {
        self.stack.stop().await;
    }

    /// Waits until the poison is in the dead-letter queue and every delivery has left its span;
    /// answers whether that happened in time.
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
        let is_delivery = |span: &&Arc<Span>| tree::matches(span, Kind::Consumer, PROCESS_SPAN);
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
            // Waiting for the rest would take up to most of a minute, and the numbers would say
            // less than this.
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

/// Waits until a span says that a message has failed which has no reason to.
async fn wait_for_ordinary_failure(spans: &SpanStore, ordinary: &[AcceptedMessage]) -> DemoError {
    let mut found = None;
    let look = |spans: &[Arc<Span>]| {
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
        // The store is gone, and with it whoever would want to know.
        None => std::future::pending().await,
    }
}

/// What the processes say about their spans.
fn read_logs(stack: &Stack) -> SpanCountsByProcess {
    let mut span_counts = SpanCountsByProcess::default();
    let producer_lines = stack
        .producer_log()
        .map(ProcessLog::lines)
        .unwrap_or_default();
    for line in producer_lines {
        span_counts.read("producer", &line);
    }
    for line in stack.function().logs().recent() {
        span_counts.read(&format!("environment {}", line.environment), &line.text);
    }
    span_counts
}
