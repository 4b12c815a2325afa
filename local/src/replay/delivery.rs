//! Requests on their way to the collector.

use std::time::Duration;

use baton_telemetry::replay::{Accepted, MAX_REQUEST_BYTES, SendFailure, Sender};
use bytes::Bytes;
use tokio::time::sleep;

use super::ReplayError;
use super::ledger::Ledger;
use super::report::{Refused, Report};

/// The pauses between the tries of one request: a person waits, and a collector that restarts is
/// back within these.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// Lines that the endpoint may refuse one after the other before it is checked.
const REFUSALS_BEFORE_CHECK: usize = 3;
/// A collector may ask for a longer pause, up to this.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The spans of one line, or of one long span.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) id: String,
    pub(super) spans: u64,
    /// An `ExportTraceServiceRequest`.
    pub(super) request: Vec<u8>,
}

/// Gathers parcels until a request is full.
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    /// Nothing, where parcels are only counted.
    sender: Option<&'a Sender>,
    ledger: &'a mut Ledger,
    waiting: Vec<Parcel>,
    bytes: usize,
    /// `true` once the endpoint has accepted a request. Later refusals then concern the content of
    /// a request.
    is_receiver: bool,
    /// The last of the collector's warnings that was logged.
    warning: String,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(sender: Option<&'a Sender>, ledger: &'a mut Ledger) -> Self {
        Self {
            sender,
            ledger,
            waiting: Vec::new(),
            bytes: 0,
            is_receiver: false,
            warning: String::new(),
        }
    }

    pub(super) fn was_sent_before(&self, id: &str) -> bool {
        self.ledger.has(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a parcel, after those before it have been sent if it does not fit into one request with
    /// them.
    pub(super) async fn put(
        &mut self,
        parcel: Parcel,
        report: &mut Report,
    ) -> Result<(), ReplayError> {
        if self.bytes + parcel.request.len() > MAX_REQUEST_BYTES {
            self.send(report).await?;
        }
        self.bytes += parcel.request.len();
        self.waiting.push(parcel);
        Ok(())
    }

    /// Sends what is waiting.
    pub(super) async fn send(&mut self, report: &mut Report) -> Result<(), ReplayError> {
        let parcels = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        // Until the collector has answered for them, whatever keeps it from doing so.
        report.left += parcels.iter().map(|parcel| parcel.spans).sum::<u64>();
        let Some(sender) = self.sender.filter(|_| !parcels.is_empty()) else {
            return Ok(());
        };
        let Err(text) = self.send_together(sender, &parcels, report).await? else {
            return Ok(());
        };
        let mut refusals = Vec::new();
        if let [parcel] = &parcels[..] {
            refusals.push(refused(parcel, text));
        } else {
            // A single line may have caused the refusal, so each line is sent in a request of its
            // own.
            for parcel in parcels.chunks(1) {
                if let Err(text) = self.send_together(sender, parcel, report).await? {
                    refusals.push(refused(&parcel[0], text));
                }
                if self.is_receiver {
                    refusals
                        .drain(..)
                        .for_each(|refused| report.refuse(refused));
                } else if refusals.len() == REFUSALS_BEFORE_CHECK {
                    self.check_endpoint(sender, &refusals, report).await?;
                }
            }
        }
        self.check_endpoint(sender, &refusals, report).await?;
        refusals
            .into_iter()
            .for_each(|refused| report.refuse(refused));
        Ok(())
    }

    /// Returns an error if the endpoint has refused these lines and refuses even an empty request,
    /// which an OTLP receiver accepts (OTLP specification, "Full Success"). Without this check, a
    /// wrong endpoint would receive one request per line.
    async fn check_endpoint(
        &mut self,
        sender: &Sender,
        refusals: &[Refused],
        report: &mut Report,
    ) -> Result<(), ReplayError> {
        let Some(refused) = refusals.last().filter(|_| !self.is_receiver) else {
            return Ok(());
        };
        match patiently(sender, Bytes::new(), report).await {
            Ok(_) => self.is_receiver = true,
            Err(SendFailure::Refused(_)) => {
                let text = format!(
                    "{}, and refused an empty request too: the endpoint's path or port is not that of an OTLP receiver",
                    refused.text
                );
                return Err(unsent(sender, SendFailure::Misdirected(text), report));
            }
            Err(failure) => return Err(unsent(sender, failure, report)),
        }
        Ok(())
    }

    /// Sends parcels as one request; the inner error is the collector's refusal of it.
    async fn send_together(
        &mut self,
        sender: &Sender,
        parcels: &[Parcel],
        report: &mut Report,
    ) -> Result<Result<(), String>, ReplayError> {
        // Requests one behind the other are one request with the spans of all.
        let requests: Vec<&[u8]> = parcels.iter().map(|parcel| &*parcel.request).collect();
        let request = requests.concat();
        let accepted = match patiently(sender, request.into(), report).await {
            Ok(accepted) => accepted,
            Err(SendFailure::Refused(text)) => return Ok(Err(text)),
            Err(failure) => return Err(unsent(sender, failure, report)),
        };
        self.is_receiver = true;
        let spans: u64 = parcels.iter().map(|parcel| parcel.spans).sum();
        let rejected = accepted.rejected.min(spans);
        report.left -= spans;
        report.sent += spans - rejected;
        match rejected {
            0 => self.warn(sender.endpoint(), accepted.message),
            _ => report.reject(rejected, accepted.message),
        }
        // Those that were rejected must not be sent again either.
        self.ledger
            .enter(parcels.iter().map(|parcel| parcel.id.as_str()))?;
        Ok(Ok(()))
    }

    /// Logs the warning of a collector that rejected nothing, once: the next response usually
    /// repeats it.
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
fn unsent(sender: &Sender, source: SendFailure, report: &Report) -> ReplayError {
    let endpoint = sender.endpoint().to_owned();
    // Rejected spans were in an accepted request, which is in the ledger too.
    if report.sent + report.rejected == 0 {
        ReplayError::NothingSent { endpoint, source }
    } else {
        ReplayError::PartlySent { endpoint, source }
    }
}

fn refused(parcel: &Parcel, text: String) -> Refused {
    Refused {
        id: parcel.id.clone(),
        spans: parcel.spans,
        text,
    }
}

/// Sends a request, a few times if need be.
async fn patiently(
    sender: &Sender,
    request: Bytes,
    report: &mut Report,
) -> Result<Accepted, SendFailure> {
    for pause in PAUSES {
        report.requests += 1;
        match sender.send(request.clone()).await {
            Err(SendFailure::Passing { text, retry_after }) => {
                let pause = pause.max(retry_after.unwrap_or_default()).min(MAX_PAUSE);
                tracing::warn!(error = text, ?pause, "a request failed and is sent again");
                sleep(pause).await;
            }
            outcome => return outcome,
        }
    }
    report.requests += 1;
    sender.send(request).await
}
