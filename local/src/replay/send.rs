//! Sending of spans to a collector.

use std::time::Duration;

use baton_telemetry::replay::{Acknowledgement, MAX_REQUEST_BYTES, ReplaySender, SendFailure};
use bytes::Bytes;
use tokio::time::sleep;

use super::error::ReplayError;
use super::ledger::ReplayLedger;
use super::report::{FailedSpans, ReplayReport};

/// Pauses between the attempts of one request. They are short, because a person waits, and long
/// enough in total for a collector to restart.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// Number of consecutive lines that may fail before the endpoint is checked.
const FAILURES_BEFORE_CHECK: usize = 3;
/// Limit on the pause that a collector may request.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Spans of one spill line, or one long span.
#[derive(Debug)]
pub(super) struct SpilledSpans {
    pub(super) id: String,
    pub(super) count: u64,
    /// An encoded `ExportTraceServiceRequest`.
    pub(super) request: Vec<u8>,
}

/// Collects spilled spans until a request is full, and sends it.
#[derive(Debug)]
pub(super) struct BatchSender<'a> {
    /// `None` in a dry run, which only counts spans.
    sender: Option<&'a ReplaySender>,
    ledger: &'a mut ReplayLedger,
    pending: Vec<SpilledSpans>,
    bytes: usize,
    /// True once the endpoint has accepted a request. Later failures then concern the content of a
    /// request.
    is_otlp_receiver: bool,
    /// Last warning of the collector that was logged.
    warning: String,
}

impl<'a> BatchSender<'a> {
    pub(super) fn new(sender: Option<&'a ReplaySender>, ledger: &'a mut ReplayLedger) -> Self {
        Self {
            sender,
            ledger,
            pending: Vec::new(),
            bytes: 0,
            is_otlp_receiver: false,
            warning: String::new(),
        }
    }

    pub(super) fn is_in_ledger(&self, id: &str) -> bool {
        self.ledger.contains(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Adds spans. If they do not fit into one request with the pending ones, those are sent first.
    pub(super) async fn add(
        &mut self,
        spans: SpilledSpans,
        report: &mut ReplayReport,
    ) -> Result<(), ReplayError> {
        if self.bytes + spans.request.len() > MAX_REQUEST_BYTES {
            self.send(report).await?;
        }
        self.bytes += spans.request.len();
        self.pending.push(spans);
        Ok(())
    }

    /// Sends the pending spans.
    pub(super) async fn send(&mut self, report: &mut ReplayReport) -> Result<(), ReplayError> {
        let batch = std::mem::take(&mut self.pending);
        self.bytes = 0;
        // The spans count as not sent until the collector has responded, so that the report is
        // correct even after an error.
        report.not_sent += batch.iter().map(|spans| spans.count).sum::<u64>();
        let Some(sender) = self.sender.filter(|_| !batch.is_empty()) else {
            return Ok(());
        };
        let Err(text) = self.send_request(sender, &batch, report).await? else {
            return Ok(());
        };
        let mut failures = Vec::new();
        if let [spans] = &batch[..] {
            failures.push(to_failed(spans, text));
        } else {
            // A single line may have caused the failure, so each line is sent in its own request.
            for single in batch.chunks(1) {
                if let Err(text) = self.send_request(sender, single, report).await? {
                    failures.push(to_failed(&single[0], text));
                }
                if self.is_otlp_receiver {
                    failures
                        .drain(..)
                        .for_each(|spans| report.add_failed(spans));
                } else if failures.len() == FAILURES_BEFORE_CHECK {
                    self.check_endpoint(sender, &failures, report).await?;
                }
            }
        }
        self.check_endpoint(sender, &failures, report).await?;
        failures
            .into_iter()
            .for_each(|spans| report.add_failed(spans));
        Ok(())
    }

    /// Checks an endpoint that has only rejected lines. Returns an error if it also rejects an
    /// empty request, which an OTLP receiver accepts (OTLP specification, "Full Success"). Without
    /// this check, a wrong endpoint would receive one request per line.
    async fn check_endpoint(
        &mut self,
        sender: &ReplaySender,
        failures: &[FailedSpans],
        report: &mut ReplayReport,
    ) -> Result<(), ReplayError> {
        let Some(last) = failures.last().filter(|_| !self.is_otlp_receiver) else {
            return Ok(());
        };
        match send_with_retries(sender, Bytes::new(), report).await {
            Ok(_) => self.is_otlp_receiver = true,
            Err(SendFailure::NonRetryable(_)) => {
                let text = format!(
                    "{}, and an empty request was rejected too: the endpoint's path or port is not that of an OTLP receiver",
                    last.text
                );
                return Err(to_error(sender, SendFailure::WrongEndpoint(text), report));
            }
            Err(failure) => return Err(to_error(sender, failure, report)),
        }
        Ok(())
    }

    /// Sends spans in one request. The inner error is the collector's non-retryable response.
    async fn send_request(
        &mut self,
        sender: &ReplaySender,
        batch: &[SpilledSpans],
        report: &mut ReplayReport,
    ) -> Result<Result<(), String>, ReplayError> {
        // Concatenated protobuf messages of this type are one message with all spans.
        let requests: Vec<&[u8]> = batch.iter().map(|spans| &*spans.request).collect();
        let request = requests.concat();
        let accepted = match send_with_retries(sender, request.into(), report).await {
            Ok(accepted) => accepted,
            Err(SendFailure::NonRetryable(text)) => return Ok(Err(text)),
            Err(failure) => return Err(to_error(sender, failure, report)),
        };
        self.is_otlp_receiver = true;
        let count: u64 = batch.iter().map(|spans| spans.count).sum();
        let rejected = accepted.rejected.min(count);
        report.not_sent -= count;
        report.sent += count - rejected;
        match rejected {
            0 => self.warn(sender.endpoint(), accepted.message),
            _ => report.add_rejected(rejected, accepted.message),
        }
        // Rejected spans are recorded too, because OTLP forbids sending them again.
        self.ledger
            .record(batch.iter().map(|spans| spans.id.as_str()))?;
        Ok(Ok(()))
    }

    /// Logs the warning of a collector that rejected no spans, but not the same warning again,
    /// because each response usually repeats it.
    fn warn(&mut self, endpoint: &str, message: String) {
        if !message.is_empty() && message != self.warning {
            tracing::warn!(
                endpoint,
                collector_message = message,
                "the collector accepted the request with a warning"
            );
            self.warning = message;
        }
    }
}

/// Returns the error for a failure that ends the replay.
fn to_error(sender: &ReplaySender, source: SendFailure, report: &ReplayReport) -> ReplayError {
    let endpoint = sender.endpoint().to_owned();
    // Rejected spans count, because they were in an accepted request, which the ledger records.
    if report.sent + report.rejected == 0 {
        ReplayError::NothingSent { endpoint, source }
    } else {
        ReplayError::PartlySent { endpoint, source }
    }
}

fn to_failed(spans: &SpilledSpans, text: String) -> FailedSpans {
    FailedSpans {
        id: spans.id.clone(),
        count: spans.count,
        text,
    }
}

/// Sends a request, and retries it a few times after a temporary failure.
async fn send_with_retries(
    sender: &ReplaySender,
    request: Bytes,
    report: &mut ReplayReport,
) -> Result<Acknowledgement, SendFailure> {
    for pause in PAUSES {
        report.requests += 1;
        match sender.send(request.clone()).await {
            Err(SendFailure::Retryable { text, retry_after }) => {
                let pause = pause.max(retry_after.unwrap_or_default()).min(MAX_PAUSE);
                tracing::warn!(error = text, ?pause, "request failed, retrying");
                sleep(pause).await;
            }
            outcome => return outcome,
        }
    }
    report.requests += 1;
    sender.send(request).await
}
