//! Parsing of spill lines.

use std::borrow::Cow;

use baton_telemetry::replay;
use baton_telemetry::spill::VERSION;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Limit on the length of an id. An id has 32 digits for the process, a hyphen, and at most 20
/// digits for the line.
const MAX_ID: usize = 64;

/// A spill line, which contains spans or a fragment of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpillLine {
    /// Id of the spans, which is the same in every copy of the log.
    pub(super) id: String,
    pub(super) span_count: u64,
    pub(super) content: SpillContent,
}

/// Content of a spill line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SpillContent {
    /// An encoded `ExportTraceServiceRequest`.
    Request(Vec<u8>),
    /// A fragment of a span that is too long for one line.
    Fragment(Fragment),
}

/// A fragment of the OTLP/JSON of a long span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Number of the fragment, from 1.
    pub(super) part: u32,
    pub(super) parts: u32,
    pub(super) text: String,
}

/// Error in text that looks like a spill line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpillLineError {
    #[error("the beginning is missing")]
    NoBeginning,
    #[error("the end is missing")]
    NoEnd,
    #[error("unsupported version {0}: expected {VERSION}")]
    Version(u64),
    #[error("member `{0}` is missing or invalid")]
    Member(&'static str),
    #[error("invalid JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("member `spans` is {expected}, but member `otlp` contains {found} spans")]
    Count { found: u64, expected: u64 },
    #[error("the quotation marks are escaped in an unsupported way")]
    Quoting,
    #[error("a log pipeline split the line, and piece {0} is missing")]
    Piece(u32),
    #[error("a log pipeline split the line, and a piece has no text")]
    PieceWithoutText,
    /// journalctl omitted the message, so the record may have been a spill line.
    #[error("the message is null: export the journal with journalctl --all")]
    MessageOmitted,
    #[error(transparent)]
    Otlp(#[from] replay::InvalidJson),
}

/// JSON of a spill line, as documented in `baton_telemetry::spill`.
#[derive(Deserialize)]
struct SpillLineJson<'a> {
    #[serde(rename = "baton.spill")]
    version: Option<u64>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    spans: Option<u64>,
    #[serde(borrow)]
    otlp: Option<&'a RawValue>,
    part: Option<u32>,
    parts: Option<u32>,
    text: Option<String>,
}

impl SpillLine {
    /// Parses a spill line. Returns `None` if the object is not one, because the marker is nested
    /// in one of its values.
    pub(super) fn parse(text: &[u8]) -> Result<Option<Self>, SpillLineError> {
        let wire: SpillLineJson<'_> = serde_json::from_slice(text)?;
        match wire.version {
            None => return Ok(None),
            Some(VERSION) => {}
            Some(other) => return Err(SpillLineError::Version(other)),
        }
        let id = wire.id.filter(|id| is_id(id));
        let id = id.ok_or(SpillLineError::Member("id"))?.into_owned();
        let span_count = wire.spans.ok_or(SpillLineError::Member("spans"))?;
        let content = match wire.otlp {
            Some(otlp) => SpillContent::Request(decode_request(otlp.get(), span_count)?),
            None => {
                let part = wire.part.filter(|part| *part > 0);
                let part = part.ok_or(SpillLineError::Member("part"))?;
                let parts = wire.parts.filter(|parts| *parts >= part);
                SpillContent::Fragment(Fragment {
                    part,
                    parts: parts.ok_or(SpillLineError::Member("parts"))?,
                    text: wire.text.ok_or(SpillLineError::Member("text"))?,
                })
            }
        };
        Ok(Some(Self {
            id,
            span_count,
            content,
        }))
    }
}

/// Decodes OTLP/JSON into an `ExportTraceServiceRequest` and checks its number of spans, because
/// joined pieces of different lines may be valid JSON too.
pub(super) fn decode_request(json: &str, expected: u64) -> Result<Vec<u8>, SpillLineError> {
    let request = replay::request_from_json(json.as_bytes())?;
    // The bytes were encoded above, so decoding succeeds.
    let decoded = ExportTraceServiceRequest::decode(&*request).unwrap_or_default();
    let scopes = decoded
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans);
    let found = scopes.map(|scope| scope.spans.len() as u64).sum();
    if found == expected {
        Ok(request)
    } else {
        Err(SpillLineError::Count { found, expected })
    }
}

/// Returns true if the text can be an id. An id has no spaces, which separate the words in the
/// ledger.
pub(super) fn is_id(text: &str) -> bool {
    let is_id_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(is_id_byte)
}
