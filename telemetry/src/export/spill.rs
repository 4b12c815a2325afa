//! The form in which spans that no collector took are written to stdout.
//!
//! `baton replay` finds these lines in the logs and sends the spans on, with their own times and
//! ids. Anything else that reads logs can do the same: a line is one JSON object, at most
//! `BATON_SPILL_LINE_BYTES` long with its line break. The default is [`MAX_LINE_BYTES`] on Lambda,
//! whose lines reach CloudWatch Logs unsplit, and [`UNCUT_LINE_BYTES`] elsewhere, because container
//! runtimes split longer lines.
//!
//! | Member | Meaning |
//! |---|---|
//! | `timestamp` | when the line was written (RFC 3339) |
//! | `level` | `ERROR`: Lambda's log level filter takes lines without a level for `INFO`, and may leave those out |
//! | `message` | always the same, for people |
//! | `baton.spill` | [the form's version](VERSION), and [what tells the line from others](MARKER) |
//! | `id` | of these spans: no other process or line has it |
//! | `spans` | how many they are |
//! | `otlp` | the spans: an `ExportTraceServiceRequest` as OTLP/JSON, in which default values are absent |
//!
//! A span that is too long for a line goes out in fragments, each of which has, instead of `otlp`:
//!
//! | Member | Meaning |
//! |---|---|
//! | `part` | which of the fragments with this `id` it is, from 1 |
//! | `parts` | how many fragments there are |
//! | `text` | a piece of the OTLP/JSON text; the pieces follow each other without anything between them |
//!
//! ```json
//! {"timestamp":"2026-01-31T12:00:00.000000Z","level":"ERROR","message":"…","baton.spill":1,"id":"4bf9…-0","spans":1,"otlp":{"resourceSpans":[…]}}
//! ```

use std::io::{self, Write};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use self::lines::Lines;
use crate::buffer::Chunk;
use crate::otlp::encode::ResourceFrame;
use crate::otlp::json::{self, RESOURCE_SPANS};
use crate::otlp::protobuf::Malformed;

mod fragments;
mod lines;

/// The name of the member that only these lines have.
pub const MARKER: &str = "baton.spill";
/// The value of that member: the version of the form.
pub const VERSION: u64 = 1;

/// For people who find such a line in their logs.
const MESSAGE: &str = "spans that could not be exported: baton replay sends them on";
/// CloudWatch Logs counts this for an event beside its text, which together may be 262,144 bytes
/// (PutLogEvents).
const EVENT_OVERHEAD: usize = 26;
/// Length of the longest line that CloudWatch Logs accepts, including its line break: 262,118
/// bytes.
pub const MAX_LINE_BYTES: usize = 256 * 1024 - EVENT_OVERHEAD;
/// Length of the longest line that log pipelines outside Lambda do not split, including its line
/// break: one byte less than the 16 KiB at which Docker (including FireLens, `awslogs` and
/// `json-file`) and containerd split lines. journald splits at 48 KiB.
pub const UNCUT_LINE_BYTES: usize = 16 * 1024 - 1;
/// Smallest line length that can be configured: room for a fragment's header, and for more text
/// than header.
pub const MIN_LINE_BYTES: usize = 1024;
/// Room for what stands before a line's spans, with the longest numbers, and for the end behind
/// them.
const HEADER_ROOM: usize = 384;

/// What [`Spill::time_for`] adds for a process that is woken late.
const FIXED_TIME: Duration = Duration::from_millis(1);
/// Ten times what was measured on one whole processor, into a pipe that is read (`tests.rs`, the
/// ignored one: 7.7 MB of 10,000 spans in 38 to 47 ms, 5 to 6 µs a KiB): the smallest functions
/// have less than a tenth of one.
const TIME_PER_KIB: Duration = Duration::from_micros(50);

/// Writes spans as lines.
#[derive(Debug)]
pub(crate) struct Spill {
    document: Document,
    /// Maximum length of a line, including its line break.
    line_bytes: usize,
    /// Tells this process's lines from those of all others.
    process: String,
    lines: AtomicU64,
}

/// An `ExportTraceServiceRequest` with one resource, without its scopes.
#[derive(Debug)]
struct Document {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Document {
    fn new(resource: &ResourceFrame) -> Result<Self, Malformed> {
        let (mut head, mut tail) = (br#"{"resourceSpans":[{"#.to_vec(), b"]".to_vec());
        if json::members(&mut head, &RESOURCE_SPANS, &resource.head)? {
            head.push(b',');
        }
        head.extend_from_slice(br#""scopeSpans":["#);
        let mut schema = Vec::new();
        if json::members(&mut schema, &RESOURCE_SPANS, &resource.tail)? {
            tail.push(b',');
            tail.append(&mut schema);
        }
        tail.extend_from_slice(b"}]}");
        Ok(Self { head, tail })
    }
}

impl Spill {
    /// Lines are at most `line_bytes` long, including their line breaks; the minimum is
    /// [`MIN_LINE_BYTES`].
    pub(crate) fn new(resource: &ResourceFrame, line_bytes: usize) -> Self {
        // What is no resource would be our own encoder's fault. Spans are worth more than it.
        let document = Document::new(resource).unwrap_or_else(|_| Document {
            head: br#"{"resourceSpans":[{"scopeSpans":["#.to_vec(),
            tail: b"]}]}".to_vec(),
        });
        Self {
            document,
            line_bytes: line_bytes.max(MIN_LINE_BYTES),
            process: RandomIdGenerator::default().new_trace_id().to_string(),
            lines: AtomicU64::new(0),
        }
    }

    /// Writes all spans to `out`, each line with one `write_all`.
    ///
    /// # Errors
    /// When writing fails, or when a chunk is not what our encoder writes. How many of the spans
    /// have been written is not known then.
    pub(crate) fn write(&self, chunks: &[Chunk], out: &mut dyn Write) -> io::Result<()> {
        let scopes = chunks.iter();
        self.write_scopes(
            scopes.map(|chunk| (chunk.scope(), chunk.records_bytes())),
            out,
        )
    }

    /// Likewise, from the bytes of scopes and of their spans.
    pub(crate) fn write_scopes<'a>(
        &self,
        scopes: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut lines = Lines::new(self, out);
        for (scope, spans) in scopes {
            lines.put_scope(scope, spans)?;
        }
        lines.finish()
    }

    /// How long writing so many bytes of chunks takes, estimated upwards.
    pub(crate) fn time_for(bytes: usize) -> Duration {
        FIXED_TIME + TIME_PER_KIB * u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
    }

    /// An id for one line, or for the fragments of one span.
    fn next_id(&self) -> String {
        format!("{}-{}", self.process, self.lines.fetch_add(1, Relaxed))
    }
}

/// Begins a line: everything before its spans.
fn begin_line(line: &mut Vec<u8>, id: &str, spans: u64) {
    let mut now = String::with_capacity(32);
    // Writing to a `String` cannot fail, nor to a `Vec`.
    let _ = SystemTime.format_time(&mut Writer::new(&mut now));
    let _ = write!(
        line,
        r#"{{"timestamp":"{now}","level":"ERROR","message":"{MESSAGE}","{MARKER}":{VERSION},"id":"{id}","spans":{spans},"#
    );
}

#[cfg(test)]
mod tests;
