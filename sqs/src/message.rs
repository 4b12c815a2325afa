//! A message to send, and SQS's rules for it.

use std::fmt;
use std::time::Duration;

use opentelemetry::trace::SpanContext;

use crate::limits::{
    MAX_ATTRIBUTES, MAX_DELAY_SECONDS, MAX_ID_LENGTH, MAX_MESSAGE_BYTES, is_accepted_character,
};
use crate::queue::QueueUrl;

mod attribute;

pub use attribute::{Attribute, AttributeValue};

/// Names of parameters in the SQS API.
const GROUP_ID: &str = "MessageGroupId";
const DEDUPLICATION_ID: &str = "MessageDeduplicationId";
const DELAY: &str = "DelaySeconds";

/// A message to send: a body, message attributes, and settings that SQS has for a message.
///
/// ```
/// use baton_sqs::{AttributeValue, OutgoingMessage};
///
/// let message = OutgoingMessage::new(r#"{"order_id":"o-1"}"#)
///     .with_attribute("tenant", AttributeValue::String("blue".to_owned()));
/// assert_eq!(message.check(), Ok(()));
/// ```
#[derive(Clone)]
pub struct OutgoingMessage {
    pub(crate) body: String,
    pub(crate) attributes: Vec<Attribute>,
    /// Attributes that are dropped if they exceed a limit, the most important first.
    pub(crate) optional_attributes: Vec<Attribute>,
    /// Names of attributes that are not sent, for the span.
    pub(crate) omitted_attributes: Vec<String>,
    pub(crate) trace_header: Option<TraceHeader>,
    pub(crate) group_id: Option<String>,
    pub(crate) deduplication_id: Option<String>,
    /// `DelaySeconds`. `None` for the delay of the queue.
    pub(crate) delay_seconds: Option<i32>,
    pub(crate) provenance: Provenance,
    /// Maximum size in bytes of the message with the attributes that a send adds.
    pub(crate) max_bytes: usize,
}

/// The source of a message, which decides the checks and the trace context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provenance {
    /// A program created the message.
    Created,
    /// SQS delivered the message before, so it meets the rules of SQS.
    Received,
}

/// An `AWSTraceHeader` that came with a received message.
#[derive(Debug, Clone)]
pub(crate) struct TraceHeader {
    pub(crate) value: String,
    /// The span that the header names. `None` if the header is not valid.
    pub(crate) span_context: Option<SpanContext>,
}

/// A message that SQS would reject and that is therefore not sent.
///
/// No variant contains the body or a value: either may be personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// The body is empty.
    #[error("the body is empty")]
    EmptyBody,
    /// The body contains a character that XML 1.0 does not allow.
    #[error(
        "the body has the character U+{character:04X} at byte {offset}, which SQS does not accept"
    )]
    BodyCharacter {
        /// The character's code point.
        character: u32,
        /// The character's position in the body, in bytes.
        offset: usize,
    },
    /// Body and attributes together exceed SQS's limit.
    #[error(
        "body and attributes have {size} bytes, more than the {MAX_MESSAGE_BYTES} that SQS accepts"
    )]
    TooLarge {
        /// Size of the message in bytes, as SQS counts it.
        size: usize,
    },
    /// The message has more attributes than SQS accepts.
    #[error("the message has {count} attributes, more than the {MAX_ATTRIBUTES} that SQS accepts")]
    TooManyAttributes {
        /// Number of attributes.
        count: usize,
    },
    /// SQS does not accept the name of an attribute.
    #[error("the attribute name {name:?} is not accepted by SQS: {rule}")]
    AttributeName {
        /// The name.
        name: String,
        /// The rule that the name breaks.
        rule: &'static str,
    },
    /// Two attributes have the same name.
    #[error("the attribute {name:?} was added twice")]
    DuplicateAttribute {
        /// The name.
        name: String,
    },
    /// SQS does not accept the value of an attribute.
    #[error("the value of the attribute {name:?} is not accepted by SQS: {rule}")]
    AttributeValue {
        /// The attribute's name.
        name: String,
        /// The rule that the value breaks.
        rule: &'static str,
    },
    /// SQS does not accept a parameter of the message, or not for this kind of queue.
    #[error("the parameter {name} is not accepted by SQS: {rule}")]
    Parameter {
        /// The name of the parameter in the SQS API.
        name: &'static str,
        /// The rule that the parameter breaks.
        rule: &'static str,
    },
}

impl OutgoingMessage {
    /// Creates a message with this body and without attributes.
    pub fn new(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            attributes: Vec::new(),
            optional_attributes: Vec::new(),
            omitted_attributes: Vec::new(),
            trace_header: None,
            group_id: None,
            deduplication_id: None,
            delay_seconds: None,
            provenance: Provenance::Created,
            max_bytes: MAX_MESSAGE_BYTES,
        }
    }

    /// Creates a message that was received from a queue and is sent to another one.
    ///
    /// It differs from a [new](Self::new) message in two ways. [`check`](Self::check) compares it
    /// with the limits only: SQS has delivered it, so a stricter rule of this crate must not keep
    /// it from being sent. And a trace context in its attributes, which may also have the names
    /// `otel.traceparent` and so on, is not changed at all: not even baggage is added to it.
    pub fn from_received(body: impl Into<String>) -> Self {
        Self {
            provenance: Provenance::Received,
            ..Self::new(body)
        }
    }

    /// Adds a message attribute. Message attributes have precedence over the trace context when
    /// SQS's ten slots are not enough for both.
    ///
    /// A `traceparent` that is added here is the caller's own context: it is sent unchanged, and
    /// the context of the send is not added.
    #[must_use]
    pub fn with_attribute(self, name: impl Into<String>, value: AttributeValue) -> Self {
        self.with_attributes([Attribute::new(name, value)])
    }

    /// Adds message attributes, whose data types may have custom labels.
    #[must_use]
    pub fn with_attributes(mut self, attributes: impl IntoIterator<Item = Attribute>) -> Self {
        self.attributes.extend(attributes);
        self
    }

    /// Adds a text attribute that is dropped if the message would otherwise exceed a limit of SQS
    /// or of the queue.
    ///
    /// The attribute that was added last is dropped first, and all of them before the trace
    /// context. An empty value is not sent, because SQS rejects it.
    #[must_use]
    pub fn with_optional_attribute(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        let attribute = Attribute::text(name, value);
        self.optional_attributes.push(attribute);
        self
    }

    /// Names attributes of a received message that cannot be sent. The span lists them with the
    /// dropped ones.
    #[must_use]
    pub fn with_omitted_attributes(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.omitted_attributes.extend(names);
        self
    }

    /// Sets the system attribute `AWSTraceHeader` of a received message, and the span that it
    /// names, if it is valid.
    #[must_use]
    pub fn with_trace_header(
        mut self,
        header: impl Into<String>,
        span_context: Option<SpanContext>,
    ) -> Self {
        self.trace_header = Some(TraceHeader {
            value: header.into(),
            span_context,
        });
        self
    }

    /// Sets the message group: required on a FIFO queue, optional on a standard queue, where it is
    /// used for fair queues.
    #[must_use]
    pub fn with_group_id(mut self, group_id: impl Into<String>) -> Self {
        self.group_id = Some(group_id.into());
        self
    }

    /// Sets the deduplication id. Only FIFO queues accept one.
    #[must_use]
    pub fn with_deduplication_id(mut self, deduplication_id: impl Into<String>) -> Self {
        self.deduplication_id = Some(deduplication_id.into());
        self
    }

    /// Delays the delivery of the message, by at most 15 minutes. SQS counts whole seconds, so a
    /// fraction is rounded up. FIFO queues do not accept a delay for a single message.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        self.delay_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
        self
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The message attributes.
    #[must_use]
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// The attributes that may be dropped, the most important first.
    #[must_use]
    pub fn optional_attributes(&self) -> &[Attribute] {
        &self.optional_attributes
    }

    /// The message group.
    #[must_use]
    pub fn group_id(&self) -> Option<&str> {
        self.group_id.as_deref()
    }

    /// The deduplication id.
    #[must_use]
    pub fn deduplication_id(&self) -> Option<&str> {
        self.deduplication_id.as_deref()
    }

    /// Size in bytes as SQS counts it, without optional attributes and the trace context.
    #[must_use]
    pub fn size(&self) -> usize {
        let attributes: usize = self.attributes.iter().map(Attribute::size).sum();
        self.body.len() + attributes
    }

    /// Checks the message against the rules of SQS; a [received](Self::from_received) message
    /// against its limits only.
    ///
    /// # Errors
    ///
    /// Returns the first rule that the message breaks.
    pub fn check(&self) -> Result<(), InvalidMessage> {
        if self.body.is_empty() {
            return Err(InvalidMessage::EmptyBody);
        }
        if self.attributes.len() > MAX_ATTRIBUTES {
            return Err(InvalidMessage::TooManyAttributes {
                count: self.attributes.len(),
            });
        }
        if self.provenance == Provenance::Created {
            self.check_texts()?;
        }
        let size = self.size();
        if size > MAX_MESSAGE_BYTES {
            return Err(InvalidMessage::TooLarge { size });
        }
        Ok(())
    }

    /// Checks the message like [`check`](Self::check), and in addition against the rules for
    /// queues of this kind.
    ///
    /// # Errors
    ///
    /// Returns the first rule that the message breaks.
    pub fn check_for(&self, queue: &QueueUrl) -> Result<(), InvalidMessage> {
        self.check()?;
        if self.provenance == Provenance::Received {
            return Ok(());
        }
        self.check_delay(queue)?;
        for (name, id) in [
            (GROUP_ID, &self.group_id),
            (DEDUPLICATION_ID, &self.deduplication_id),
        ] {
            if id.as_deref().is_some_and(|id| !is_accepted_id(id)) {
                let rule = "it must have 1 to 128 characters, which may be ASCII letters, digits and punctuation";
                return Err(InvalidMessage::Parameter { name, rule });
            }
        }
        if queue.is_fifo() && self.group_id.is_none() {
            let rule = "a FIFO queue requires it";
            return Err(InvalidMessage::Parameter {
                name: GROUP_ID,
                rule,
            });
        }
        if !queue.is_fifo() && self.deduplication_id.is_some() {
            let rule = "only FIFO queues accept it";
            return Err(InvalidMessage::Parameter {
                name: DEDUPLICATION_ID,
                rule,
            });
        }
        Ok(())
    }

    fn check_delay(&self, queue: &QueueUrl) -> Result<(), InvalidMessage> {
        let rule = match self.delay_seconds {
            Some(seconds) if seconds > MAX_DELAY_SECONDS => "it may be at most 900",
            Some(seconds) if seconds > 0 && queue.is_fifo() => {
                "a FIFO queue delays all messages or none"
            }
            _ => return Ok(()),
        };
        Err(InvalidMessage::Parameter { name: DELAY, rule })
    }

    fn check_texts(&self) -> Result<(), InvalidMessage> {
        if let Some((offset, character)) = find_rejected_character(&self.body) {
            return Err(InvalidMessage::BodyCharacter {
                character: character.into(),
                offset,
            });
        }
        for (index, attribute) in self.attributes.iter().enumerate() {
            attribute.check()?;
            let mut earlier = self.attributes[..index].iter();
            if earlier.any(|other| other.name == attribute.name) {
                return Err(InvalidMessage::DuplicateAttribute {
                    name: attribute.name.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Omits the body and all values: they may be personal data, and `Debug` output ends up in logs.
impl fmt::Debug for OutgoingMessage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes = self.attributes.iter().chain(&self.optional_attributes);
        let names: Vec<&str> = attributes.map(|attribute| &*attribute.name).collect();
        formatter
            .debug_struct("OutgoingMessage")
            .field("body_bytes", &self.body.len())
            .field("attributes", &names)
            .finish_non_exhaustive()
    }
}

/// Returns `true` if SQS accepts the text as a message group or a deduplication id.
fn is_accepted_id(id: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns the first character that SQS does not accept, and its position.
fn find_rejected_character(text: &str) -> Option<(usize, char)> {
    text.char_indices()
        .find(|(_, character)| !is_accepted_character(*character))
}

#[cfg(test)]
mod tests;
