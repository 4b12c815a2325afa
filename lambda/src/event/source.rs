//! The field `eventSource`, which names the AWS service that a record is from.

use std::fmt;

use super::scanner::{JsonKind, Scanner};
use super::string::JsonString;

/// `eventSource` of records from SQS.
pub(super) const EVENT_SOURCE: &str = "aws:sqs";
/// Longest name that an error repeats. All event sources of AWS have shorter names.
const MAX_NAME_LENGTH: usize = 32;

/// The event source that a record names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum EventSource {
    #[default]
    Missing,
    Sqs,
    /// Another service. The name is present if an error may repeat it.
    Other(Option<Box<str>>),
    /// No `eventSource` but an `EventSource`, which SNS sends.
    Capitalised(Option<Box<str>>),
}

impl EventSource {
    /// Reads the value of `eventSource`.
    pub(super) fn read(scanner: &mut Scanner<'_>) -> Self {
        if scanner.peek_kind() == JsonKind::Null {
            scanner.skip();
            return Self::Missing;
        }
        let Some(text) = scanner.read_string() else {
            scanner.skip();
            return Self::Other(None);
        };
        if text.decode(scanner.json()).as_deref() == Some(EVENT_SOURCE) {
            return Self::Sqs;
        }
        Self::Other(service_name(scanner.json(), text))
    }

    /// Reads the value of `EventSource`. Used only if the record has no `eventSource`.
    pub(super) fn read_capitalised(&mut self, scanner: &mut Scanner<'_>) {
        let Some(text) = scanner.read_string() else {
            return scanner.skip();
        };
        // `eventSource` takes precedence in any order: if it follows, its value replaces this one.
        if *self == Self::Missing {
            *self = Self::Capitalised(service_name(scanner.json(), text));
        }
    }
}

impl fmt::Display for EventSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("eventSource is missing"),
            Self::Sqs => write!(formatter, "eventSource is {EVENT_SOURCE}"),
            Self::Other(Some(name)) => write!(formatter, "eventSource is {name}"),
            Self::Other(None) => formatter.write_str("eventSource is another value"),
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

/// Returns the text if it looks like the name of an AWS event source. Any other text may be data of
/// a user and is not repeated.
fn service_name(json: &str, text: JsonString) -> Option<Box<str>> {
    let is_service = |name: &&str| {
        name.starts_with("aws:")
            && name.len() <= MAX_NAME_LENGTH
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b":-".contains(&byte)
            })
    };
    text.plain_text(json).filter(is_service).map(Into::into)
}
