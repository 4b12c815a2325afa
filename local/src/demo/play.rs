//! The demo itself: send, wait, end everything the hard way, and look at what is there.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::dead_letters::DeadLetters;
use super::journey::{self, Accepted};
use super::keys::PROCESS_SPAN;
use super::ledger::Ledger;
use super::scenario::{self, Expected};
use super::verdict::{self, Observed};
use super::{Demo, DemoError, MAX_RECEIVE_COUNT, Report, Stage, VISIBILITY_TIMEOUT, tree};
use crate::otlp::{Kind, Span, SpanStore};
use crate::stack::{ProcessLog, Stack, StackError};

/// How long it may take until all messages are where they belong, on top of the visibility timeouts
/// that the poison has to sit out.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long spans may be late once the poison has arrived: everything else was handled seconds
/// before it.
const STRAGGLERS: Duration = Duration::from_secs(5);

impl Demo {
    /// Sends the messages, waits until each is handled or given up, and reports what became of
    /// them. Afterwards the function and the producer are gone; [`stop`](Self::stop) ends the rest.
    ///
    /// # Errors
    /// When a request is not accepted, or a part of the stack ends. Numbers that are not as they
    /// must be are no error: the report says so.
    pub async fn play(&mut self, mut show: impl FnMut(Stage)) -> Result<Report, DemoError> {
        let max_receive_count = MAX_RECEIVE_COUNT.get() as usize;
        let expected = scenario::expected(&self.onboardings, max_receive_count);
        show(Stage::Begins(format!(
            "sending {} onboardings",
            self.onboardings.len()
        )));
        let producer = self.stack.producer_address();
        let producer = producer.ok_or(DemoError::NoProducer)?;
        let accepted = super::requests::send(producer, &self.onboardings).await?;
        show(Stage::Done(format!(
            "{} onboardings accepted",
            accepted.len()
        )));

        let hidden = VISIBILITY_TIMEOUT * MAX_RECEIVE_COUNT.get();
        show(Stage::Begins(format!(
            "waiting for retries and the dead-letter queue, about {} s",
            hidden.as_secs()
        )));
        let mut dead_letters = DeadLetters::default();
        let in_time = self
            .settled(&expected, &accepted, &mut dead_letters, hidden)
            .await?;
        show(if in_time {
            Stage::Done("every message is where it belongs".to_owned())
        } else {
            Stage::Missed("not every message left its spans in time".to_owned())
        });

        show(Stage::Begins(
            "killing the function without warning, stopping the producer".to_owned(),
        ));
        self.stack.stop_mapping().await;
        self.stack.function().kill_idle().await;
        self.stack.stop_producer().await;
        show(Stage::Done("both are gone".to_owned()));
        dead_letters
            .read_rest(self.stack.sqs(), &self.stack.endpoints().dead_letter_queue)
            .await?;
        Ok(self.report(&expected, accepted, dead_letters))
    }

    /// Waits until the poison is in the dead-letter queue and every delivery has left its span;
    /// answers whether that happened in time.
    async fn settled(
        &mut self,
        expected: &Expected,
        accepted: &[Accepted],
        dead_letters: &mut DeadLetters,
        hidden: Duration,
    ) -> Result<bool, DemoError> {
        let (sqs, spans) = (self.stack.sqs().clone(), self.stack.spans().clone());
        let queue_url = self.stack.endpoints().dead_letter_queue.clone();
        let ordinary = scenario::ordinary(&self.onboardings, accepted);
        let is_delivery = |span: &&Arc<Span>| tree::is(span, Kind::Consumer, PROCESS_SPAN);
        let settled = async {
            let in_queue = dead_letters.wait_for(expected.dead_lettered, &sqs, &queue_url);
            if let Ok(read) = timeout(hidden + PATIENCE, in_queue).await {
                read?;
            }
            let all_spans = spans.wait_until(|spans| {
                spans.iter().filter(is_delivery).count() >= expected.deliveries()
            });
            Ok(timeout(STRAGGLERS, all_spans).await.is_ok())
        };
        tokio::select! {
            settled = settled => settled,
            // Waiting for the rest would take up to most of a minute, and the numbers would say
            // less than this.
            failed = ordinary_failed(&spans, &ordinary) => Err(failed),
            error = self.stack.wait_for_failure() => Err(error.into()),
            ended = self.watch.next() => Err(StackError::Function(ended).into()),
        }
    }

    fn report(
        &self,
        expected: &Expected,
        accepted: Vec<Accepted>,
        dead_letters: DeadLetters,
    ) -> Report {
        let observed = Observed {
            accepted,
            dead_letters: dead_letters.message_ids,
            fed: self.stack.mapping_stats(),
            spans: journey::distinct(self.stack.spans().spans()),
            totals: self.stack.spans().totals(),
            ledger: read_logs(&self.stack),
        };
        let journeys = journey::follow(&observed.accepted, &observed.spans, &observed.dead_letters);
        let verdict = verdict::judge(expected, &observed, &journeys);
        let parts = self.onboardings.iter().map(|onboarding| onboarding.part);
        Report {
            journeys: journeys.into_iter().zip(parts).collect(),
            batches: journey::batches(&observed.spans),
            metrics: self.stack.spans().metrics(),
            verdict,
        }
    }
}

/// Waits until a span says that a message has failed which has no reason to.
async fn ordinary_failed(spans: &SpanStore, ordinary: &[Accepted]) -> DemoError {
    let mut found = None;
    let look = |spans: &[Arc<Span>]| {
        found = journey::follow(ordinary, spans, &[])
            .into_iter()
            .find_map(|journey| {
                let mut failures = journey
                    .deliveries
                    .iter()
                    .filter_map(|span| tree::failure(span));
                let error_type = failures.next()?.to_owned();
                Some((journey.message.customer_id, error_type))
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
fn read_logs(stack: &Stack) -> Ledger {
    let mut ledger = Ledger::default();
    let producer_lines = stack
        .producer_log()
        .map(ProcessLog::lines)
        .unwrap_or_default();
    for line in producer_lines {
        ledger.read("producer", &line);
    }
    for line in stack.function().logs().recent() {
        ledger.read(&format!("environment {}", line.environment), &line.text);
    }
    ledger
}
