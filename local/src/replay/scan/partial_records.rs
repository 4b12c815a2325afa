//! Log records that contain a piece of a line, because a log pipeline split the line.
//!
//! | Pipeline | Members of the record |
//! |---|---|
//! | Docker's `fluentd` driver (FireLens) | `partial_id`, `partial_ordinal`, `partial_last` |
//! | Docker's `journald` driver | the same, as `CONTAINER_PARTIAL_…` |
//! | CRI (Kubernetes), read by Fluent Bit | `logtag`: `P`, or `F` for the last piece |
//! | journald, for the standard output of a service | `_LINE_BREAK`: `line-max`; the last piece is the next record with the same `_STREAM_ID` and without it |
//!
//! If the text is unprintable, the journal's `MESSAGE` is a list of bytes. A complete line in this
//! form is read as a line of one piece.

use std::collections::{BTreeMap, HashMap, VecDeque};

use baton_telemetry::spill::MARKER;
use memchr::memmem;
use serde_json::{Map, Value};

use crate::replay::spill_line::SpillLineError;

/// Names of the member that contains the text.
const TEXTS: [&str; 4] = ["log", MESSAGE, "message", "msg"];
/// Name of the member that contains the text in a record of the journal.
pub(super) const MESSAGE: &str = "MESSAGE";
/// Member of every record that journalctl writes as JSON.
const CURSOR: &str = "__CURSOR";
/// Members in which the pieces of a line differ.
const VARYING: [&str; 9] = [
    "log",
    "message",
    "msg",
    "logtag",
    "time",
    "date",
    "timestamp",
    "@timestamp",
    "_p",
];
/// Limit on the text of incomplete lines. The pieces of a line are usually close together.
const MAX_PENDING_BYTES: usize = 64 * 1024 * 1024;
/// Text in the pieces of a spilled span that do not contain the marker.
const SPAN: &str = "spanId";

/// A log record, which is a JSON object.
pub(super) type JsonRecord = Map<String, Value>;

/// A piece of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LinePiece {
    /// Key of the line, or of the stream if the pieces of a line follow each other in it.
    key: String,
    text: PieceText,
    order: PieceOrder,
}

/// Text of a piece, in bytes, because a split may be inside a character.
#[derive(Debug, PartialEq, Eq)]
enum PieceText {
    /// A string. The scanner finds a spill line in it without decoding the record.
    String(Vec<u8>),
    /// A list of bytes, in which the scanner cannot find a spill line.
    Bytes(Vec<u8>),
    /// A long message that journalctl omitted.
    Omitted,
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PieceOrder {
    Numbered { ordinal: u32, is_last: bool },
    Next { is_last: bool },
}

impl LinePiece {
    /// Reads a record as a piece. Returns `None` if it does not have the members of one.
    pub(super) fn from_record(record: &JsonRecord) -> Option<Self> {
        let (key, order) = read_key(record)?;
        let text = TEXTS
            .iter()
            .find_map(|name| Some((*name, record.get(*name)?)));
        let text = text.map_or(PieceText::Missing, |(name, value)| read_text(name, value));
        Some(Self { key, text, order })
    }

    /// Reads a record of the journal as a line of one piece. Returns `None` if other members mark
    /// the record as a piece. Records in the journal's native protocol, such as those of Docker's
    /// driver, have no `_STREAM_ID`.
    pub(super) fn from_journal_message(record: &JsonRecord) -> Option<Self> {
        record.get(CURSOR)?;
        if read_key(record).is_some() {
            // The scanner reads this record at the marker of another member.
            return None;
        }
        Some(Self {
            key: "journal".to_owned(),
            text: read_text(MESSAGE, record.get(MESSAGE)?),
            order: PieceOrder::Next { is_last: true },
        })
    }
}

fn read_key(record: &JsonRecord) -> Option<(String, PieceOrder)> {
    numbered_key(record, "partial_", str::to_owned)
        .or_else(|| numbered_key(record, "CONTAINER_PARTIAL_", str::to_uppercase))
        .or_else(|| tagged_key(record))
        .or_else(|| journal_key(record))
}

fn numbered_key(
    record: &JsonRecord,
    prefix: &str,
    name: fn(&str) -> String,
) -> Option<(String, PieceOrder)> {
    let member = |suffix| record.get(&format!("{prefix}{}", name(suffix)));
    let id = member("id")?.as_str()?;
    let ordinal = to_text(member("ordinal")?)?.parse().ok()?;
    let is_last = to_text(member("last")?)? == "true";
    Some((
        format!("{prefix}{id}"),
        PieceOrder::Numbered { ordinal, is_last },
    ))
}

/// Returns a string, number or boolean as text, because log routers convert one into another.
fn to_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn tagged_key(record: &JsonRecord) -> Option<(String, PieceOrder)> {
    let is_last = match record.get("logtag")?.as_str()? {
        "P" => false,
        "F" => true,
        _ => return None,
    };
    // The key consists of the stream and of the members that identify the container.
    let same = record
        .iter()
        .filter(|(name, _)| !VARYING.contains(&name.as_str()));
    let same: BTreeMap<_, _> = same.collect();
    let key = serde_json::to_string(&same).ok()?;
    Some((key, PieceOrder::Next { is_last }))
}

fn journal_key(record: &JsonRecord) -> Option<(String, PieceOrder)> {
    let stream = record.get("_STREAM_ID")?.as_str()?;
    let line_break = record.get("_LINE_BREAK").and_then(Value::as_str);
    let is_last = line_break != Some("line-max");
    Some((format!("journal {stream}"), PieceOrder::Next { is_last }))
}

/// Returns the text of a member. journalctl writes unprintable text as an array of bytes, and,
/// without `--all`, text over 4 KiB as `null`.
fn read_text(name: &str, value: &Value) -> PieceText {
    match value {
        Value::String(text) => PieceText::String(text.clone().into_bytes()),
        Value::Array(bytes) => {
            let bytes = bytes.iter().map(|byte| u8::try_from(byte.as_u64()?).ok());
            bytes
                .collect::<Option<_>>()
                .map_or(PieceText::Missing, PieceText::Bytes)
        }
        Value::Null if name == MESSAGE => PieceText::Omitted,
        _ => PieceText::Missing,
    }
}

/// Lines with missing pieces.
#[derive(Debug, Default)]
pub(super) struct PartialLines {
    lines: HashMap<String, PartialLine>,
    /// Keys in the order of their first pieces.
    order: VecDeque<String>,
    bytes: usize,
}

#[derive(Debug)]
struct PartialLine {
    texts: BTreeMap<u32, Vec<u8>>,
    last: Option<u32>,
    /// Line number of the first piece.
    line_number: u64,
}

/// A line that lacks a piece and may contain spans.
#[derive(Debug)]
pub(super) struct IncompleteLine {
    pub(super) line_number: u64,
    pub(super) error: SpillLineError,
}

impl PartialLines {
    /// Returns true if the record contains a piece of a line that has several.
    pub(super) fn has_piece(&self, record: &JsonRecord) -> bool {
        LinePiece::from_record(record).is_some_and(|piece| !self.is_whole(&piece))
    }

    /// Returns true if the piece is a complete line.
    fn is_whole(&self, piece: &LinePiece) -> bool {
        match piece.order {
            PieceOrder::Numbered { ordinal, is_last } => is_last && ordinal == 1,
            PieceOrder::Next { is_last } => is_last && !self.lines.contains_key(&piece.key),
        }
    }

    /// Adds a piece, and returns the line once it is complete.
    pub(super) fn add(
        &mut self,
        piece: LinePiece,
        line_number: u64,
    ) -> Result<Option<Vec<u8>>, SpillLineError> {
        let is_whole = self.is_whole(&piece);
        let LinePiece { key, text, order } = piece;
        let text = match text {
            PieceText::Omitted => {
                // The earlier pieces cannot become a line, and must not become part of the next
                // one.
                if matches!(order, PieceOrder::Next { .. }) {
                    self.remove(&key);
                }
                return Err(SpillLineError::MessageOmitted);
            }
            PieceText::Bytes(text) if is_whole => return Ok(Some(text)),
            // The scanner finds a spill line in this string without joining.
            _ if is_whole => return Ok(None),
            PieceText::Missing => return Err(SpillLineError::PieceWithoutText),
            PieceText::String(text) | PieceText::Bytes(text) => text,
        };
        if !self.lines.contains_key(&key) {
            self.order.push_back(key.clone());
        }
        let line = self
            .lines
            .entry(key.clone())
            .or_insert_with(|| PartialLine {
                texts: BTreeMap::new(),
                last: None,
                line_number,
            });
        let (number, is_last) = match order {
            PieceOrder::Numbered { ordinal, is_last } => (ordinal, is_last),
            PieceOrder::Next { is_last } => (line.texts.len() as u32 + 1, is_last),
        };
        self.bytes += text.len();
        let replaced = line.texts.insert(number, text);
        self.bytes -= replaced.map_or(0, |text| text.len());
        if is_last {
            line.last = Some(number);
        }
        let is_complete = line.last == Some(line.texts.len() as u32);
        Ok(is_complete
            .then(|| self.remove(&key).map(PartialLine::text))
            .flatten())
    }

    /// Removes the oldest incomplete line if the text exceeds its limit.
    pub(super) fn remove_excess(&mut self) -> Option<IncompleteLine> {
        while self.bytes > MAX_PENDING_BYTES {
            if let Some(incomplete) = self.remove_oldest()? {
                return Some(incomplete);
            }
        }
        None
    }

    /// Removes a line that is incomplete at the end of the log.
    pub(super) fn remove_incomplete(&mut self) -> Option<IncompleteLine> {
        loop {
            if let Some(incomplete) = self.remove_oldest()? {
                return Some(incomplete);
            }
        }
    }

    /// Removes the line that began first. The inner value is `None` if the line has no spans.
    fn remove_oldest(&mut self) -> Option<Option<IncompleteLine>> {
        let key = self.order.front()?.clone();
        let line = self.remove(&key)?;
        let has_spans = line.has_spans();
        let expected = line.last.unwrap_or(u32::MAX);
        let missing = (1..=expected).find(|number| !line.texts.contains_key(number));
        Some(has_spans.then(|| IncompleteLine {
            line_number: line.line_number,
            error: SpillLineError::Piece(missing.unwrap_or_default()),
        }))
    }

    fn remove(&mut self, key: &str) -> Option<PartialLine> {
        let line = self.lines.remove(key)?;
        self.order.retain(|other| other != key);
        self.bytes -= line.texts.values().map(Vec::len).sum::<usize>();
        Some(line)
    }
}

impl PartialLine {
    /// Returns true if the line may be a spill line. If its first piece is missing, any line that
    /// ends like JSON may be one.
    fn has_spans(&self) -> bool {
        let mut texts = self.texts.values();
        let ends_as_json = |text: &Vec<u8>| text.trim_ascii_end().ends_with(b"}");
        let contains = |text: &[u8], word: &str| memmem::find(text, word.as_bytes()).is_some();
        texts.any(|text| contains(text, MARKER) || contains(text, SPAN))
            || !self.texts.contains_key(&1)
                && self.texts.values().next_back().is_some_and(ends_as_json)
    }

    fn text(self) -> Vec<u8> {
        self.texts.into_values().flatten().collect()
    }
}
