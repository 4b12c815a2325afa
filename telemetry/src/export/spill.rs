//! The format of spans that the collector does not accept and that are written to stdout.
//!
//! `baton replay` finds these lines in the logs and resends the spans, with their own times and
//! ids. Any other log reader can do the same. A line is one JSON object of at most
//! `BATON_SPILL_LINE_BYTES`, including its line break. The default is [`MAX_LINE_BYTES`] on Lambda,
//! whose lines reach CloudWatch Logs unsplit, and [`UNSPLIT_LINE_BYTES`] elsewhere, because
//! container runtimes split longer lines.
//!
//! | Member | Meaning |
//! |---|---|
//! | `timestamp` | time of writing (RFC 3339) |
//! | `level` | `ERROR`, because Lambda's log level filter treats lines without a level as `INFO` and may discard them |
//! | `message` | constant text for people |
//! | `baton.spill` | [version of the format](VERSION); the [name](MARKER) identifies these lines |
//! | `id` | unique id of these spans; no other process or line has it |
//! | `spans` | number of spans |
//! | `otlp` | the spans: an `ExportTraceServiceRequest` as OTLP/JSON, without fields that have their default value |
//!
//! A span that is too long for a line is written in fragments. Instead of `otlp`, each has:
//!
//! | Member | Meaning |
//! |---|---|
//! | `part` | number of the fragment among those with this `id`, from 1 |
//! | `parts` | number of fragments |
//! | `text` | this fragment of the OTLP/JSON text; the fragments are concatenated without a separator |
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

use self::lines::SpillWriter;
use crate::buffer::Chunk;
use crate::otlp::encode::ResourceFrame;
use crate::otlp::json::{self, RESOURCE_SPANS};
use crate::otlp::protobuf::InvalidProtobuf;

mod fragments;
mod lines;

pub use crate::config::{MAX_LINE_BYTES, MIN_LINE_BYTES, UNSPLIT_LINE_BYTES};

/// Name of the member that identifies these lines.
pub const MARKER: &str = "baton.spill";
/// Value of that member: the version of the format.
pub const VERSION: u64 = 1;

/// Text for people who find such a line in their logs.
const MESSAGE: &str = "spans not exported: resend them with baton replay";
/// Maximum length of a line without its spans: the header with the longest numbers, and the end.
const MAX_HEADER_BYTES: usize = 384;

/// Part of [`Spill::estimate_time`] for a process that is scheduled late.
const WAKE_TIME: Duration = Duration::from_millis(1);
/// Part of [`Spill::estimate_time`]: ten times the time measured with one whole processor and a
/// pipe that is read (the ignored test in `tests.rs`: 7.7 MB of 10,000 spans in 38 to 47 ms, 5 to 6
/// µs per KiB). The smallest functions have less than a tenth of a processor.
const TIME_PER_KIB: Duration = Duration::from_micros(50);

/// Writes spans as lines.
#[derive(Debug)]
pub(crate) struct Spill {
    document: Document,
    /// Maximum length of a line, including its line break.
    line_bytes: usize,
    /// Part of the ids. It is unique to this process.
    process: String,
    lines: AtomicU64,
}

/// The JSON of an `ExportTraceServiceRequest` with one resource, before and after its scopes.
#[derive(Debug)]
struct Document {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Document {
    fn new(resource: &ResourceFrame) -> Result<Self, InvalidProtobuf> {
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
    /// Creates a spill whose lines are at most `line_bytes` long, including their line breaks, and
    /// at least [`MIN_LINE_BYTES`].
    pub(crate) fn new(resource: &ResourceFrame, line_bytes: usize) -> Self {
        // Only a bug in the encoder makes the resource invalid. The spans are worth writing without
        // it.
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
    ///
    /// Returns an error if writing fails, or if a chunk is not what the encoder writes. The number
    /// of written spans is then unknown.
    pub(crate) fn write(&self, chunks: &[Chunk], out: &mut dyn Write) -> io::Result<()> {
        let scopes = chunks.iter();
        self.write_scopes(
            scopes.map(|chunk| (chunk.scope(), chunk.records_bytes())),
            out,
        )
    }

    /// Writes the spans of these scopes, each given as the encoded scope and its encoded spans.
    pub(crate) fn write_scopes<'a>(
        &self,
        scopes: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut lines = SpillWriter::new(self, out);
        for (scope, spans) in scopes {
            lines.write_scope(scope, spans)?;
        }
        lines.finish()
    }

    /// Returns an upper estimate of the time to write chunks of this many bytes.
    pub(crate) fn estimate_time(bytes: usize) -> Duration {
        WAKE_TIME + TIME_PER_KIB * u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
    }

    /// Returns the id for one line, or for all fragments of one span.
    fn next_id(&self) -> String {
        format!("{}-{}", self.process, self.lines.fetch_add(1, Relaxed))
    }
}

/// Writes the start of a line, up to its spans.
fn write_header(line: &mut Vec<u8>, id: &str, spans: u64) {
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
