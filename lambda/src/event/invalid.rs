//! Why a payload is not an SQS event, said so that whoever wired the function up wrongly sees what
//! arrived instead.
//!
//! No value of the event is repeated but the name of an AWS service in `eventSource`: whatever else
//! is in a payload may be somebody's message.

use std::fmt;

use super::fields::EVENT_SOURCE;
use super::scan::{Kind, Scanner};
use super::text::Text;

/// Longer than any `eventSource` of AWS; what is longer is not repeated.
const MAX_SOURCE_LENGTH: usize = 32;
/// Fields by which other events are known, in the order in which they are asked for.
const MARKS: [(&str, &str); 6] = [
    ("detail-type", "an EventBridge event"),
    ("requestContext", "an HTTP request"),
    ("awslogs", "a CloudWatch Logs event"),
    ("deliveryStreamArn", "a Firehose event"),
    ("bootstrapServers", "a Kafka event"),
    ("key1", "the sample of Lambda's test console"),
];

/// Why a payload is not an SQS event. Names the field.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidEvent {
    /// Longer than positions can say. Lambda delivers 6 MB.
    #[error("the event has {length} bytes, more than a Lambda event can have")]
    TooLong {
        /// What it has.
        length: usize,
    },
    /// Not text.
    #[error("the event is not UTF-8: the byte at {at} is part of no character")]
    NotUtf8 {
        /// How many bytes are before it.
        at: usize,
    },
    /// Not JSON.
    #[error("the event is not JSON: {reason}")]
    NotJson {
        /// What is wrong, and where.
        reason: String,
    },
    /// Neither a JSON object nor an array.
    #[error(
        "the event is {arrived}, expected the object with Records that an SQS event source mapping sends, \
         or the array of records that EventBridge Pipes sends"
    )]
    NotAnEvent {
        /// What it is.
        arrived: &'static str,
    },
    /// An object of another service, or a test event.
    #[error(
        "Records is missing: the event is {arrived}, expected what an SQS event source mapping sends"
    )]
    NoRecords {
        /// What it looks like.
        arrived: Arrived,
    },
    /// `Records` of something else.
    #[error("Records is {arrived}, expected an array of SQS messages")]
    Records {
        /// What it is.
        arrived: &'static str,
    },
    /// `Records` twice.
    #[error("Records is given twice")]
    RecordsTwice,
    /// A record of something else.
    #[error("Records[{index}] is not an object")]
    Record {
        /// Position in the batch, from 0.
        index: usize,
    },
    /// A record that is not from SQS.
    #[error("Records[{index}].{arrived}, expected {EVENT_SOURCE}")]
    Source {
        /// Position in the batch, from 0.
        index: usize,
        /// The field and what it says.
        arrived: Source,
    },
    /// A field of a record that has to be a string.
    #[error("Records[{index}].{field} is not a string")]
    Field {
        /// Position in the batch, from 0.
        index: usize,
        /// Name as in the event.
        field: &'static str,
    },
    /// A field that stands twice in one record.
    #[error("Records[{index}].{field} is given twice")]
    Twice {
        /// Position in the batch, from 0.
        index: usize,
        /// Name as in the event.
        field: &'static str,
    },
}

/// What a JSON value is, in words.
pub(super) fn in_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Object => "an object",
        Kind::Array => "an array",
        Kind::Text => "a string",
        Kind::Null => "null",
        Kind::Other => "a number or a boolean",
    }
}

/// What an object without `Records` looks like.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    fields: usize,
    /// Position in `MARKS`.
    mark: Option<usize>,
}

impl Arrived {
    /// Takes note of a field.
    pub(super) fn note(&mut self, key: Option<&str>) {
        self.fields += 1;
        let mark = MARKS.iter().position(|(mark, _)| key == Some(mark));
        self.mark = match (self.mark, mark) {
            (Some(known), Some(mark)) => Some(known.min(mark)),
            (known, mark) => known.or(mark),
        };
    }
}

impl fmt::Display for Arrived {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.mark, self.fields) {
            (Some(mark), _) => formatter.write_str(MARKS[mark].1),
            (None, 0) => formatter.write_str("an empty object"),
            (None, 1) => formatter.write_str("an object with one other field"),
            (None, fields) => write!(formatter, "an object with {fields} other fields"),
        }
    }
}

/// What a record says that it comes from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nothing.
    #[default]
    Missing,
    /// The right thing.
    Sqs,
    /// Something else, named if it may be repeated.
    Other(Option<Box<str>>),
    /// `EventSource`, as SNS writes it.
    Capitalised(Option<Box<str>>),
}

impl Source {
    /// Reads the value of `eventSource`.
    pub(super) fn read(scanner: &mut Scanner<'_>) -> Self {
        if scanner.kind() == Kind::Null {
            scanner.skip();
            return Self::Missing;
        }
        let Some(text) = scanner.text() else {
            scanner.skip();
            return Self::Other(None);
        };
        if text.decode(scanner.json()).as_deref() == Some(EVENT_SOURCE) {
            return Self::Sqs;
        }
        Self::Other(name_of_service(scanner.json(), text))
    }

    /// Reads the value of `EventSource`, which matters only if there is no `eventSource`.
    pub(super) fn read_elsewhere(&mut self, scanner: &mut Scanner<'_>) {
        let Some(text) = scanner.text() else {
            return scanner.skip();
        };
        if *self == Self::Missing {
            *self = Self::Capitalised(name_of_service(scanner.json(), text));
        }
    }

    pub(super) fn check(self, index: usize) -> Result<(), InvalidEvent> {
        match self {
            Self::Sqs => Ok(()),
            arrived => Err(InvalidEvent::Source { index, arrived }),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("eventSource is missing"),
            Self::Sqs => write!(formatter, "eventSource is {EVENT_SOURCE}"),
            Self::Other(Some(name)) => write!(formatter, "eventSource is {name}"),
            Self::Other(None) => formatter.write_str("eventSource is something else"),
            Self::Capitalised(Some(name)) => {
                write!(
                    formatter,
                    "eventSource is missing and EventSource is {name}"
                )
            }
            Self::Capitalised(None) => formatter.write_str("eventSource is missing"),
        }
    }
}

/// Only what looks like AWS's own names of event sources.
fn name_of_service(json: &str, text: Text) -> Option<Box<str>> {
    let is_own = |name: &&str| {
        name.starts_with("aws:")
            && name.len() <= MAX_SOURCE_LENGTH
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b":-".contains(&byte)
            })
    };
    text.verbatim(json).filter(is_own).map(Into::into)
}
