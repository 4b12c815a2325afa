//! Export of buffered records: to an OTLP collector or to stdout.

use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Buf as _;
use opentelemetry_sdk::Resource;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use self::breaker::BreakerStatus;
use self::collector::{Destination, DestinationError};
use self::spill::Spill;
use crate::buffer::{Buffer, Chunk, InFlightChunks, Selection};
use crate::otlp::encode::{self, ResourceFrame};
use crate::otlp::{PartialSuccess, Signal};
use crate::output::Output;
use crate::transport::client::BufList;

pub(crate) mod breaker;
pub(crate) mod collector;
mod collector_messages;
mod embedded_metrics;
mod failure_log;
pub(crate) mod headers;
mod losses;
#[cfg(feature = "replay")]
pub mod replay;
pub(crate) mod sdk_exporter;
pub mod spill;

pub(crate) use collector_messages::CollectorMessages;
pub(crate) use embedded_metrics::{Dimensions, EmbeddedMetrics};
pub(crate) use failure_log::FailureLog;
pub use headers::{HeaderSource, HeadersFuture, InvalidHeaders, OpenHeaderSource, parse_headers};
pub(crate) use losses::{LossReporter, Losses};
pub use sdk_exporter::InvalidExporter;
pub(crate) use sdk_exporter::SdkExporter;

/// Maximum length of a request. Collectors accept 4 MiB by default, including the protocol's
/// headers.
pub(crate) const MAX_REQUEST_BYTES: usize = 3 * 1024 * 1024 + 512 * 1024;
/// Time that a shutdown gives other exports to return their records, even past its deadline. They
/// normally return them immediately; the limit allows for a busy or throttled processor.
const RETURN_TIMEOUT: Duration = Duration::from_millis(20);

/// The reason why records were not exported. They are still in the buffer, unless the error is
/// [permanent](Self::is_permanent).
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExporterError {
    #[error("timed out waiting for the collector")]
    Timeout,
    #[error("cancelled by the shutdown of the process")]
    Shutdown,
    #[error(transparent)]
    Destination(#[from] DestinationError),
}

impl ExporterError {
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self, Self::Destination(error) if error.is_permanent())
    }
}

/// Spans, requests and bytes that one flush sent itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportCounts {
    /// Spans that the collector acknowledged.
    pub spans: u64,
    /// Requests, including those that failed.
    pub requests: u64,
    /// Bytes in the bodies of these requests.
    pub bytes: u64,
}

/// Exports the records of one signal.
#[derive(Debug)]
pub(crate) struct Exporter {
    pub(crate) failure_log: FailureLog,
    collector_messages: CollectorMessages,
    destination: Destination,
    signal: Signal,
    /// Writer of the records that the collector does not accept, and its output.
    spill: Option<(Spill, Output)>,
    resource: ResourceFrame,
    /// Serialises exports of all records. An export that has waited finds its records already sent,
    /// or sends those that have accumulated in the meantime.
    export_all_lock: Mutex<()>,
    /// Number of shutdowns that need the records of running exports now.
    shutdowns: watch::Sender<usize>,
}

impl Exporter {
    /// `spill` is the output for records that the collector does not accept, with the maximum line
    /// length in bytes. Without it, they stay in the buffer.
    pub(crate) fn new(
        signal: Signal,
        destination: Destination,
        resource: &Resource,
        spill: Option<(Output, usize)>,
    ) -> Self {
        let (resource, name) = (encode::resource(resource), destination.to_string());
        Self {
            failure_log: FailureLog::new(signal, name.clone()),
            collector_messages: CollectorMessages::new(name),
            destination,
            signal,
            spill: spill.map(|(output, line_bytes)| (Spill::new(&resource, line_bytes), output)),
            resource,
            export_all_lock: Mutex::new(()),
            shutdowns: watch::Sender::default(),
        }
    }

    /// Shuts down an exporter that the program provides.
    pub(crate) fn shutdown(&self) {
        self.destination.shutdown();
    }

    /// Returns the state of the circuit breaker, or `None` if the destination has none.
    pub(crate) fn breaker_status(&self) -> Option<BreakerStatus> {
        self.destination.breaker_status()
    }

    /// Returns the deadline of a request that is sent now.
    pub(crate) fn request_deadline(&self) -> Instant {
        self.destination.request_deadline()
    }

    /// Exports the selected records, request by request, until all are sent, a request fails,
    /// `deadline` is reached or the process shuts down.
    ///
    /// Waits for selected records that are in flight for another export. Exports of all records
    /// take turns; the others run concurrently with them and with each other. `sent` is updated
    /// with each request, so that it is accurate even if the future is dropped.
    pub(crate) async fn export(
        &self,
        buffer: &Buffer,
        selection: Selection<'_>,
        deadline: Instant,
        sent: &mut ExportCounts,
    ) -> Result<(), ExporterError> {
        tokio::select! {
            biased;
            // Dropping the other future returns its records to the buffer.
            () = self.wait_for_shutdown() => Err(ExporterError::Shutdown),
            outcome = self.export_selection(buffer, selection, deadline, sent) => outcome,
        }
    }

    async fn export_selection(
        &self,
        buffer: &Buffer,
        selection: Selection<'_>,
        deadline: Instant,
        sent: &mut ExportCounts,
    ) -> Result<(), ExporterError> {
        let _lock = match selection {
            Selection::All => Some(run_until(deadline, self.export_all_lock.lock()).await?),
            Selection::Group(_) | Selection::Ungrouped => None,
        };
        let mut in_flight = buffer.take(selection);
        let first = in_flight.id();
        let mut outcome = Ok(());
        loop {
            match self.send_all(in_flight, deadline, sent).await {
                Ok(()) => {}
                Err(rejection) if rejection.is_permanent() => outcome = Err(rejection),
                Err(retryable) => return Err(retryable),
            }
            match run_until(deadline, buffer.take_returned(selection, first)).await? {
                Some(returned) => in_flight = returned,
                None => return outcome,
            }
        }
    }

    /// Sends all chunks that were taken.
    async fn send_all(
        &self,
        mut in_flight: InFlightChunks,
        deadline: Instant,
        sent: &mut ExportCounts,
    ) -> Result<(), ExporterError> {
        let mut limit = MAX_REQUEST_BYTES;
        let mut outcome = Ok(());
        loop {
            let chunks = in_flight.next_request(limit);
            if chunks.is_empty() {
                return outcome;
            }
            let (count, body) = (chunks.len(), request_body(&self.resource, chunks));
            sent.requests += 1;
            sent.bytes += body.remaining() as u64;
            self.write_to_console(&mut in_flight, count);
            match self.destination.send(body, deadline).await {
                Ok(partial) => {
                    self.drop_rejected(&mut in_flight, count, &partial);
                    sent.spans += in_flight.mark_exported(count);
                }
                // A single record may be the cause, so the chunks are sent one by one from now on.
                Err(rejection) if rejection.is_permanent() && count > 1 => limit = 0,
                Err(rejection) if rejection.is_permanent() => {
                    // A chunk that is always rejected must not block those behind it.
                    if !self.spill_first(&mut in_flight, count) {
                        in_flight.mark_dropped(count);
                    }
                    outcome = Err(rejection.into());
                }
                // Dropping `in_flight` returns its chunks to the buffer.
                Err(retryable) => return Err(retryable.into()),
            }
        }
    }

    /// Writes the first `count` chunks to the console exporter, except those that were written
    /// before an earlier attempt.
    fn write_to_console(&self, in_flight: &mut InFlightChunks, count: usize) {
        let Some(console) = self.destination.additional_console() else {
            return;
        };
        let new = in_flight.take_new_for_console(count);
        if new.is_empty() {
            return;
        }
        if let Err(error) = console.write(request_body(&self.resource, &new)) {
            let records = self.signal.records();
            warn!(
                error = &error as &dyn Error,
                "{records} not written to stdout"
            );
        }
    }

    /// Returns true if records that the collector does not accept are written to stdout.
    pub(crate) fn spills(&self) -> bool {
        self.spill.is_some()
    }

    /// Returns the time to reserve for spilling this many bytes of records, or zero if spilling is
    /// off.
    pub(crate) fn time_for_spill(&self, bytes: usize) -> Duration {
        match self.spill {
            Some(_) => Spill::estimate_time(bytes),
            None => Duration::ZERO,
        }
    }

    /// Spills the selected records that are in the buffer, until `deadline`. The rest stays there.
    pub(crate) fn spill(&self, buffer: &Buffer, selection: Selection<'_>, deadline: Instant) {
        if self.spill.is_some() {
            self.spill_in_flight(buffer.take(selection), deadline);
        }
    }

    /// Spills all records for the shutdown of the process, including those that other exports have
    /// in flight and must return at `export_deadline`.
    ///
    /// Records that are not written are lost with the process, so this may exceed `deadline` by the
    /// time that writing them takes.
    pub(crate) async fn spill_all(
        &self,
        buffer: &Buffer,
        export_deadline: Instant,
        deadline: Instant,
    ) {
        let settled = timeout_at(export_deadline, buffer.take_all_when_settled()).await;
        if self.spill.is_none() {
            return;
        }
        let in_flight = match settled {
            Ok(in_flight) => in_flight,
            Err(_) => self.take_from_exports(buffer, deadline).await,
        };
        let needed = self.time_for_spill(buffer.bytes());
        self.spill_in_flight(in_flight, deadline.max(Instant::now() + needed));
    }

    /// Cancels running exports and takes all records, including those that they return.
    async fn take_from_exports(&self, buffer: &Buffer, deadline: Instant) -> InFlightChunks {
        self.shutdowns.send_modify(|count| *count += 1);
        let return_deadline = deadline.max(Instant::now() + RETURN_TIMEOUT);
        let settled = timeout_at(return_deadline, buffer.take_all_when_settled()).await;
        self.shutdowns.send_modify(|count| *count -= 1);
        settled.unwrap_or_else(|_| buffer.take(Selection::All))
    }

    /// Completes when a shutdown needs the records of running exports.
    async fn wait_for_shutdown(&self) {
        // The sender is a field of `self`, so the channel cannot be closed.
        let _ = self
            .shutdowns
            .subscribe()
            .wait_for(|count| *count > 0)
            .await;
    }

    fn spill_in_flight(&self, mut in_flight: InFlightChunks, deadline: Instant) {
        // The first chunk is written even after the deadline. Otherwise flushes that have no time
        // left would never get rid of their records.
        while !in_flight.chunks().is_empty() && self.spill_first(&mut in_flight, 1) {
            if Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Spills the first `count` chunks. Returns false if nothing was written.
    fn spill_first(&self, in_flight: &mut InFlightChunks, count: usize) -> bool {
        let Some((spill, output)) = &self.spill else {
            return false;
        };
        let written = output.write(|out| spill.write(&in_flight.chunks()[..count], out));
        match written {
            Ok(()) => in_flight.mark_spilled(count) > 0,
            Err(error) => {
                warn!(
                    error = &error as &dyn Error,
                    "spans not spilled: cannot write to stdout"
                );
                false
            }
        }
    }

    /// Counts as dropped the records that the collector rejected in an accepted request. They must
    /// not be sent again, and the response does not identify them.
    fn drop_rejected(
        &self,
        in_flight: &mut InFlightChunks,
        count: usize,
        partial: &PartialSuccess,
    ) {
        if partial.rejected == 0 {
            return self.collector_messages.log(&partial.message);
        }
        let rejected = in_flight.mark_rejected(count, partial.rejected);
        warn!(
            endpoint = %self.destination,
            rejected,
            collector_message = partial.message,
            "{} rejected by the collector",
            self.signal.records(),
        );
    }
}

/// Awaits the future until `deadline`. Polls it once before setting a timer, because most locks are
/// free.
pub(crate) async fn run_until<F: Future>(
    deadline: Instant,
    future: F,
) -> Result<F::Output, ExporterError> {
    let mut future = pin!(future);
    let first_poll = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
    if let Poll::Ready(output) = first_poll {
        return Ok(output);
    }
    let outcome = timeout_at(deadline, future).await;
    outcome.map_err(|_| ExporterError::Timeout)
}

fn request_body(resource: &ResourceFrame, chunks: &[Chunk]) -> BufList {
    let lengths = chunks.iter().map(|chunk| chunk.bytes.len());
    let length = lengths.map(encode::scope_spans_length).sum();
    let mut head = encode::open_request(resource, length);
    // Two buffers for each chunk, one for the end of the resource, and one for the framing that the
    // protocol prepends.
    let mut body = BufList::with_capacity(2 * chunks.len() + 2);
    for chunk in chunks {
        encode::open_scope_spans(&mut head, chunk.bytes.len());
        body.push(std::mem::take(&mut head).into());
        body.push(chunk.bytes.clone());
    }
    body.push(resource.tail.clone());
    body
}
