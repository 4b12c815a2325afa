//! Records that hold a piece of a line that a log pipeline split.
//!
//! | Pipeline | Members of the record |
//! |---|---|
//! | Docker's `fluentd` driver (FireLens) | `partial_id`, `partial_ordinal`, `partial_last` |
//! | Docker's `journald` driver | the same, as `CONTAINER_PARTIAL_…` |
//! | CRI (Kubernetes), read by Fluent Bit | `logtag`: `P`, or `F` for the last piece |
//! | journald, of a service's standard output | `_LINE_BREAK`: `line-max`, until a record of the same `_STREAM_ID` without it |
//!
//! If the text is not printable, the journal's `MESSAGE` is a list of bytes. A whole line in this
//! form is read as a line of one piece.

use std::collections::{BTreeMap, HashMap, VecDeque};

use baton_telemetry::spill::MARKER;
use memchr::memmem;
use serde_json::{Map, Value};

use super::line::Problem;

/// Names of the member with the text.
const TEXTS: [&str; 4] = ["log", MESSAGE, "message", "msg"];
/// Name of the member with the text in a record of the journal.
pub(super) const MESSAGE: &str = "MESSAGE";
/// Member of every record that journalctl writes as JSON.
const CURSOR: &str = "__CURSOR";
/// Members that differ between the pieces of a line.
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
/// Limit on the text of incomplete lines. The pieces of a line are usually next to each other.
const MAX_WAITING: usize = 64 * 1024 * 1024;
/// Text that the pieces of a spilled span contain, if not the marker.
const SPAN: &str = "spanId";

/// A record of a log: a JSON object.
pub(super) type Record = Map<String, Value>;

/// A piece of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Identifies the line, or the stream if its pieces follow each other.
    key: String,
    text: Text,
    order: Order,
}

/// Text of a record, as bytes: a cut may be inside a character.
#[derive(Debug, PartialEq, Eq)]
enum Text {
    /// A string. The scanner finds a spill line in it without decoding the record.
    String(Vec<u8>),
    /// A list of bytes, in which the scanner cannot find a spill line.
    Bytes(Vec<u8>),
    /// A message of the journal that journalctl left out, because it is long.
    Omitted,
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Numbered { ordinal: u32, is_last: bool },
    Next { is_last: bool },
}

impl Piece {
    /// Reads a record as a piece, if it has the members of one.
    pub(super) fn from_record(record: &Record) -> Option<Self> {
        let (key, order) = key_and_order(record)?;
        let text = TEXTS
            .iter()
            .find_map(|name| Some((*name, record.get(*name)?)));
        let text = text.map_or(Text::Missing, |(name, value)| text_of(name, value));
        Some(Self { key, text, order })
    }

    /// Reads a record of the journal as a line of one piece. Returns `None` if other members mark
    /// the record as a piece. Records in the journal's native protocol, such as those of Docker's
    /// driver, have no `_STREAM_ID`.
    pub(super) fn from_journal_message(record: &Record) -> Option<Self> {
        record.get(CURSOR)?;
        if key_and_order(record).is_some() {
            // The scanner reads this record at the marker of another member.
            return None;
        }
        Some(Self {
            key: "journal".to_owned(),
            text: text_of(MESSAGE, record.get(MESSAGE)?),
            order: Order::Next { is_last: true },
        })
    }
}

fn key_and_order(record: &Record) -> Option<(String, Order)> {
    numbered(record, "partial_", str::to_owned)
        .or_else(|| numbered(record, "CONTAINER_PARTIAL_", str::to_uppercase))
        .or_else(|| tagged(record))
        .or_else(|| journal(record))
}

fn numbered(record: &Record, prefix: &str, name: fn(&str) -> String) -> Option<(String, Order)> {
    let member = |suffix| record.get(&format!("{prefix}{}", name(suffix)));
    let id = member("id")?.as_str()?;
    let ordinal = word(member("ordinal")?)?.parse().ok()?;
    let is_last = word(member("last")?)? == "true";
    Some((
        format!("{prefix}{id}"),
        Order::Numbered { ordinal, is_last },
    ))
}

/// Reads a string, number or boolean as text: log routers convert one into another.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn tagged(record: &Record) -> Option<(String, Order)> {
    let is_last = match record.get("logtag")?.as_str()? {
        "P" => false,
        "F" => true,
        _ => return None,
    };
    // The stream, and the members that identify the container.
    let same = record
        .iter()
        .filter(|(name, _)| !VARYING.contains(&name.as_str()));
    let same: BTreeMap<_, _> = same.collect();
    let key = serde_json::to_string(&same).ok()?;
    Some((key, Order::Next { is_last }))
}

fn journal(record: &Record) -> Option<(String, Order)> {
    let stream = record.get("_STREAM_ID")?.as_str()?;
    let line_break = record.get("_LINE_BREAK").and_then(Value::as_str);
    let is_last = line_break != Some("line-max");
    Some((format!("journal {stream}"), Order::Next { is_last }))
}

/// Returns the text of a member. journalctl writes unprintable bytes as an array of numbers, and
/// without `--all` it writes text over 4 KiB as `null`.
fn text_of(name: &str, value: &Value) -> Text {
    match value {
        Value::String(text) => Text::String(text.clone().into_bytes()),
        Value::Array(bytes) => {
            let bytes = bytes.iter().map(|byte| u8::try_from(byte.as_u64()?).ok());
            bytes
                .collect::<Option<_>>()
                .map_or(Text::Missing, Text::Bytes)
        }
        Value::Null if name == MESSAGE => Text::Omitted,
        _ => Text::Missing,
    }
}

/// Lines with missing pieces.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    lines: HashMap<String, Waiting>,
    /// Keys in order of their first pieces.
    order: VecDeque<String>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    texts: BTreeMap<u32, Vec<u8>>,
    last: Option<u32>,
    /// Position of the first piece.
    line_number: u64,
}

/// A line that lacks a piece and contains, or may contain, spans.
#[derive(Debug)]
pub(super) struct Incomplete {
    pub(super) line_number: u64,
    pub(super) problem: Problem,
}

impl Pieces {
    /// Returns `true` if a record's text is part of a line of several pieces.
    pub(super) fn has_part(&self, record: &Record) -> bool {
        Piece::from_record(record).is_some_and(|piece| !self.is_whole(&piece))
    }

    /// Returns `true` if a piece is a whole line.
    fn is_whole(&self, piece: &Piece) -> bool {
        match piece.order {
            Order::Numbered { ordinal, is_last } => is_last && ordinal == 1,
            Order::Next { is_last } => is_last && !self.lines.contains_key(&piece.key),
        }
    }

    /// Adds a piece, and returns the line once it is complete.
    pub(super) fn put(
        &mut self,
        piece: Piece,
        line_number: u64,
    ) -> Result<Option<Vec<u8>>, Problem> {
        let is_whole = self.is_whole(&piece);
        let Piece { key, text, order } = piece;
        let text = match text {
            Text::Omitted => {
                // The pieces before it cannot become a line, and must not become part of the next
                // one.
                if matches!(order, Order::Next { .. }) {
                    self.remove(&key);
                }
                return Err(Problem::MessageOmitted);
            }
            Text::Bytes(text) if is_whole => return Ok(Some(text)),
            // The scanner finds a spill line in it as in any other text.
            _ if is_whole => return Ok(None),
            Text::Missing => return Err(Problem::PieceWithoutText),
            Text::String(text) | Text::Bytes(text) => text,
        };
        if !self.lines.contains_key(&key) {
            self.order.push_back(key.clone());
        }
        let waiting = self.lines.entry(key.clone()).or_insert_with(|| Waiting {
            texts: BTreeMap::new(),
            last: None,
            line_number,
        });
        let (number, is_last) = match order {
            Order::Numbered { ordinal, is_last } => (ordinal, is_last),
            Order::Next { is_last } => (waiting.texts.len() as u32 + 1, is_last),
        };
        self.bytes += text.len();
        let replaced = waiting.texts.insert(number, text);
        self.bytes -= replaced.map_or(0, |text| text.len());
        if is_last {
            waiting.last = Some(number);
        }
        let is_complete = waiting.last == Some(waiting.texts.len() as u32);
        Ok(is_complete
            .then(|| self.remove(&key).map(Waiting::text))
            .flatten())
    }

    /// Removes the oldest incomplete line, if there is too much text.
    pub(super) fn give_up(&mut self) -> Option<Incomplete> {
        while self.bytes > MAX_WAITING {
            if let Some(incomplete) = self.oldest()? {
                return Some(incomplete);
            }
        }
        None
    }

    /// Removes a line that is still incomplete at the end of the log.
    pub(super) fn finish(&mut self) -> Option<Incomplete> {
        loop {
            if let Some(incomplete) = self.oldest()? {
                return Some(incomplete);
            }
        }
    }

    /// Removes the line whose first piece came first. The inner value is `None` if the line has no
    /// spans.
    fn oldest(&mut self) -> Option<Option<Incomplete>> {
        let key = self.order.front()?.clone();
        let waiting = self.remove(&key)?;
        let has_spans = waiting.has_spans();
        let expected = waiting.last.unwrap_or(u32::MAX);
        let missing = (1..=expected).find(|number| !waiting.texts.contains_key(number));
        Some(has_spans.then(|| Incomplete {
            line_number: waiting.line_number,
            problem: Problem::Piece(missing.unwrap_or_default()),
        }))
    }

    fn remove(&mut self, key: &str) -> Option<Waiting> {
        let waiting = self.lines.remove(key)?;
        self.order.retain(|other| other != key);
        self.bytes -= waiting.texts.values().map(Vec::len).sum::<usize>();
        Some(waiting)
    }
}

impl Waiting {
    /// Returns `true` if the line is, or may be, a spill line. Without its first piece, any line
    /// that ends like JSON may be one.
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
