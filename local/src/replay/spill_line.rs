//! What a spill line says.

use std::borrow::Cow;

use baton_telemetry::replay;
use baton_telemetry::spill::VERSION;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde::Deserialize;
use serde_json::value::RawValue;

/// No id is longer: 32 digits of a process and 20 of a line, with a dash between.
const MAX_ID: usize = 64;

/// A spill line: spans, or a fragment of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpillLine {
    /// Of these spans, in whatever log they are.
    pub(super) id: String,
    pub(super) span_count: u64,
    pub(super) content: SpillContent,
}

/// What is in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SpillContent {
    /// Of an `ExportTraceServiceRequest`.
    Request(Vec<u8>),
    /// A piece of the text of one.
    Fragment(Fragment),
}

/// A piece of the OTLP/JSON of a long span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    /// From 1.
    pub(super) part: u32,
    pub(super) parts: u32,
    pub(super) text: String,
}

/// Why something that looks like a spill line cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("its beginning is missing")]
    NoBeginning,
    #[error("its end is missing")]
    NoEnd,
    #[error("it is of version {0}, and this baton knows version {VERSION}")]
    Version(u64),
    #[error("its member {0} is missing or makes no sense")]
    Member(&'static str),
    #[error("it is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("its OTLP has {found} spans, but its member `spans` says {expected}")]
    Count { found: u64, expected: u64 },
    #[error("its quotation marks are escaped in an unknown way")]
    Quoting,
    #[error("a log pipeline split it, and piece {0} is missing")]
    Piece(u32),
    #[error("a log pipeline cut it, and a piece has no text")]
    PieceWithoutText,
    /// journalctl left the message out, so it is not known if the record holds a spill line.
    #[error("the message is null: export the journal with journalctl --all")]
    MessageOmitted,
    #[error(transparent)]
    Otlp(#[from] replay::InvalidJson),
}

/// As `baton_telemetry::spill` describes it.
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
    /// Nothing where an object is no spill line: it holds the marker somewhere else.
    pub(super) fn parse(text: &[u8]) -> Result<Option<Self>, LineError> {
        let wire: SpillLineJson<'_> = serde_json::from_slice(text)?;
        match wire.version {
            None => return Ok(None),
            Some(VERSION) => {}
            Some(other) => return Err(LineError::Version(other)),
        }
        let id = wire.id.filter(|id| is_id(id));
        let id = id.ok_or(LineError::Member("id"))?.into_owned();
        let span_count = wire.spans.ok_or(LineError::Member("spans"))?;
        let content = match wire.otlp {
            Some(otlp) => SpillContent::Request(decode_request(otlp.get(), span_count)?),
            None => {
                let part = wire.part.filter(|part| *part > 0);
                let part = part.ok_or(LineError::Member("part"))?;
                let parts = wire.parts.filter(|parts| *parts >= part);
                SpillContent::Fragment(Fragment {
                    part,
                    parts: parts.ok_or(LineError::Member("parts"))?,
                    text: wire.text.ok_or(LineError::Member("text"))?,
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
pub(super) fn decode_request(json: &str, expected: u64) -> Result<Vec<u8>, LineError> {
    let request = replay::request_from_json(json.as_bytes())?;
    // The bytes were encoded just above, so they can be decoded.
    let decoded = ExportTraceServiceRequest::decode(&*request).unwrap_or_default();
    let scopes = decoded
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans);
    let found = scopes.map(|scope| scope.spans.len() as u64).sum();
    if found == expected {
        Ok(request)
    } else {
        Err(LineError::Count { found, expected })
    }
}

/// What can be an id, and stand as a word in the ledger.
pub(super) fn is_id(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(is_letter)
}
