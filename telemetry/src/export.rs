//! Sends what a buffer holds to an OTLP collector.

use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Buf as _;
use opentelemetry_sdk::Resource;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use self::ending::Ending;
use crate::buffer::{Buffer, Chunk, Taken, Whose};
use crate::export::collector::{Uplink, UplinkError};
use crate::export::spill::Spill;
use crate::otlp::encode::{self, ResourceFrame};
use crate::otlp::{PartialSuccess, Signal};
use crate::output::Output;
use crate::transport::client::Frames;

mod accounting;
mod breaker;
pub(crate) mod collector;
mod collector_messages;
mod ending;
mod failures;
pub(crate) mod headers;
#[cfg(feature = "replay")]
pub mod replay;
pub mod spill;

pub(crate) use accounting::{Accounting, Losses};
pub(crate) use collector_messages::CollectorMessages;
pub(crate) use failures::Failures;
pub use headers::{Fetching, HeaderSource, InvalidHeaders, OpenHeaderSource, parse_headers};

/// Requests are cut below this: collectors take 4 MiB by default, and the headers of the protocol
/// count.
pub(crate) const MAX_REQUEST_BYTES: usize = 3 * 1024 * 1024 + 512 * 1024;
/// How long exports of other tasks may take to give back what they hold, however little time is
/// left. They do it at once: this is for a processor that is busy, or a fraction of one.
const GIVE_BACK: Duration = Duration::from_millis(20);

/// Why records are still in the buffer, or gone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error("no answer within the time for it")]
    Timeout,
    #[error("no answer before the end of the process")]
    Ending,
    #[error(transparent)]
    Uplink(#[from] UplinkError),
}

impl ExportError {
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Uplink(error) if error.is_final())
    }
}

/// What one flush sent by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Spans that the collector acknowledged.
    pub spans: u64,
    /// Requests, however they ended.
    pub requests: u64,
    /// Bytes of these requests' bodies.
    pub bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Exporter {
    pub(crate) failures: Failures,
    messages: CollectorMessages,
    uplink: Uplink,
    signal: Signal,
    /// What writes records that the collector does not take, and where to.
    spill: Option<(Spill, Output)>,
    resource: ResourceFrame,
    /// Held by an export for everyone. Whoever waits for it finds its own spans sent, or sends what
    /// has gathered meanwhile.
    turn: Mutex<()>,
    ending: Ending,
}

impl Exporter {
    /// Records that the collector does not accept are written to `spill` in lines of at most this
    /// many bytes, or stay in the buffer.
    pub(crate) fn new(
        signal: Signal,
        uplink: Uplink,
        resource: &Resource,
        spill: Option<(Output, usize)>,
    ) -> Self {
        let resource = encode::resource(resource);
        Self {
            failures: Failures::new(signal, uplink.to_string()),
            messages: CollectorMessages::new(uplink.to_string()),
            uplink,
            signal,
            spill: spill.map(|(output, line_bytes)| (Spill::new(&resource, line_bytes), output)),
            resource,
            turn: Mutex::new(()),
            ending: Ending::default(),
        }
    }

    /// The end of one request's time, were it sent now.
    pub(crate) fn patience(&self) -> Instant {
        self.uplink.patience()
    }

    /// Sends such spans as have finished, request by request, until all is sent, one fails,
    /// `deadline` is there or the process ends.
    ///
    /// Spans that another call has taken are that call's to send, and this one returns only when
    /// they are settled. Exports for everyone do not overlap; others run beside them and beside
    /// each other. What is sent is added to `sent` at once.
    pub(crate) async fn export(
        &self,
        buffer: &Buffer,
        whose: Whose<'_>,
        deadline: Instant,
        sent: &mut Sent,
    ) -> Result<(), ExportError> {
        tokio::select! {
            biased;
            // What the other future has taken goes back into the buffer with it.
            () = self.ending.announced() => Err(ExportError::Ending),
            outcome = self.export_by(buffer, whose, deadline, sent) => outcome,
        }
    }

    async fn export_by(
        &self,
        buffer: &Buffer,
        whose: Whose<'_>,
        deadline: Instant,
        sent: &mut Sent,
    ) -> Result<(), ExportError> {
        let _turn = match whose {
            Whose::Everyone => Some(before(deadline, self.turn.lock()).await?),
            Whose::Group(_) | Whose::Nobody => None,
        };
        let mut taken = buffer.take(whose);
        let first = taken.number();
        let mut outcome = Ok(());
        loop {
            match self.send_all(taken, deadline, sent).await {
                Ok(()) => {}
                Err(refused) if refused.is_final() => outcome = Err(refused),
                Err(passing) => return Err(passing),
            }
            match before(deadline, buffer.take_returned(whose, first)).await? {
                Some(returned) => taken = returned,
                None => return outcome,
            }
        }
    }

    async fn send_all(
        &self,
        mut taken: Taken,
        deadline: Instant,
        sent: &mut Sent,
    ) -> Result<(), ExportError> {
        let mut limit = MAX_REQUEST_BYTES;
        let mut outcome = Ok(());
        loop {
            let chunks = taken.next_request(limit);
            if chunks.is_empty() {
                return outcome;
            }
            let (count, body) = (chunks.len(), request_body(&self.resource, chunks));
            sent.requests += 1;
            sent.bytes += body.remaining() as u64;
            self.write_to_console(&mut taken, count);
            match self.uplink.send(body, deadline).await {
                Ok(partial) => {
                    self.drop_rejected(&mut taken, count, &partial);
                    sent.spans += taken.exported(count);
                }
                // One span may be to blame: the rest is tried chunk by chunk.
                Err(refused) if refused.is_final() && count > 1 => limit = 0,
                Err(refused) if refused.is_final() => {
                    // What the collector refuses for good must not stand in the way of what comes
                    // after it.
                    if !self.spill_first(&mut taken, count) {
                        taken.dropped(count);
                    }
                    outcome = Err(refused.into());
                }
                // Dropping what was taken puts it back into the buffer.
                Err(passing) => return Err(passing.into()),
            }
        }
    }

    /// Writes the given number of chunks to the console exporter, except those already written
    /// before a failed request.
    fn write_to_console(&self, taken: &mut Taken, chunks: usize) {
        let Some(console) = self.uplink.second_console() else {
            return;
        };
        let new = taken.new_to_console(chunks);
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

    /// Whether what the collector does not take is written to stdout.
    pub(crate) fn spills(&self) -> bool {
        self.spill.is_some()
    }

    /// How long it may take to write so many bytes of records, if they are to be written at all.
    pub(crate) fn time_for_spill(&self, bytes: usize) -> Duration {
        match self.spill {
            Some(_) => Spill::time_for(bytes),
            None => Duration::ZERO,
        }
    }

    /// Writes what such a flush has left in the buffer, as far as there is time. What is not
    /// written stays.
    pub(crate) fn spill(&self, buffer: &Buffer, whose: Whose<'_>, deadline: Instant) {
        if self.spill.is_some() {
            self.spill_taken(buffer.take(whose), deadline);
        }
    }

    /// Writes all that is pending because the process ends: what others have on their way too,
    /// which they have to give back at `until`. What is not written is lost, so it may take beyond
    /// `deadline` what there was to be time for.
    pub(crate) async fn spill_all(&self, buffer: &Buffer, until: Instant, deadline: Instant) {
        let settled = timeout_at(until, buffer.take_all_settled()).await;
        if self.spill.is_none() {
            return;
        }
        let taken = match settled {
            Ok(taken) => taken,
            Err(_) => {
                let _announced = self.ending.announce();
                let patience = deadline.max(Instant::now() + GIVE_BACK);
                let settled = timeout_at(patience, buffer.take_all_settled()).await;
                settled.unwrap_or_else(|_| buffer.take(Whose::Everyone))
            }
        };
        let needed = self.time_for_spill(buffer.bytes());
        self.spill_taken(taken, deadline.max(Instant::now() + needed));
    }

    fn spill_taken(&self, mut taken: Taken, deadline: Instant) {
        // The first chunk goes out in any case: a flush without any time would otherwise never lose
        // what it has.
        while !taken.chunks().is_empty() && self.spill_first(&mut taken, 1) {
            if Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Writes the first so many chunks. Whether that was possible.
    fn spill_first(&self, taken: &mut Taken, chunks: usize) -> bool {
        let Some((spill, output)) = &self.spill else {
            return false;
        };
        let written = output.write(|out| spill.write(&taken.chunks()[..chunks], out));
        match written {
            Ok(()) => taken.spilled(chunks) > 0,
            Err(error) => {
                warn!(error = &error as &dyn Error, "spans not written to stdout");
                false
            }
        }
    }

    /// Records that the collector rejected although it accepted the request. It does not say which,
    /// and they must not be sent again.
    fn drop_rejected(&self, taken: &mut Taken, chunks: usize, partial: &PartialSuccess) {
        if partial.rejected == 0 {
            return self.messages.log(&partial.message);
        }
        let rejected = taken.rejected(chunks, partial.rejected);
        warn!(
            endpoint = %self.uplink,
            rejected,
            collector_message = partial.message,
            "{} rejected by the collector",
            self.signal.records(),
        );
    }
}

/// Waits for what is usually there at once, and only otherwise sets a timer.
pub(crate) async fn before<F: Future>(
    deadline: Instant,
    future: F,
) -> Result<F::Output, ExportError> {
    let mut future = pin!(future);
    let at_once = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
    if let Poll::Ready(output) = at_once {
        return Ok(output);
    }
    let outcome = timeout_at(deadline, future).await;
    outcome.map_err(|_| ExportError::Timeout)
}

fn request_body(resource: &ResourceFrame, chunks: &[Chunk]) -> Frames {
    let lengths = chunks.iter().map(|chunk| chunk.bytes.len());
    let length = lengths.map(encode::scope_spans_length).sum();
    let mut head = encode::open_request(resource, length);
    // Each chunk with what is before it, the resource's tail, and the head of the protocol that
    // carries this.
    let mut body = Frames::with_capacity(2 * chunks.len() + 2);
    for chunk in chunks {
        encode::open_scope_spans(&mut head, chunk.bytes.len());
        body.push(std::mem::take(&mut head).into());
        body.push(chunk.bytes.clone());
    }
    body.push(resource.tail.clone());
    body
}
