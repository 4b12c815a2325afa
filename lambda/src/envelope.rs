//! Envelopes of message bodies that come through another service.

use std::borrow::Cow;
use std::str::FromStr;

use crate::config::Keyword;
use crate::event::{EventBridgeEnvelope, MessageAttribute, SnsNotification};

/// Envelope around the body that a handler gets.
///
/// Use [`Envelope::None`] if the SNS subscription has raw message delivery, or if the EventBridge
/// rule has an input transformer that sends only the detail.
///
/// ```
/// use baton_lambda::{Consumer, Envelope};
///
/// let builder = Consumer::builder().envelope(Envelope::Sns);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Envelope {
    /// No envelope: handlers get the body of the SQS message.
    #[default]
    None,
    /// An SNS notification: handlers get its `Message`.
    Sns,
    /// An EventBridge event: handlers get its `detail`.
    EventBridge,
}

/// Parses the values of `BATON_ENVELOPE`, which are not case-sensitive.
impl FromStr for Envelope {
    type Err = UnknownEnvelope;

    fn from_str(text: &str) -> Result<Self, UnknownEnvelope> {
        Self::from_keyword(text).ok_or(UnknownEnvelope)
    }
}

/// Error for a text that is not the name of an [`Envelope`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected none, sns or eventbridge")]
pub struct UnknownEnvelope;

/// Error for a body that does not have the configured envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MissingEnvelope {
    #[error(
        "the body is not an SNS notification (with raw message delivery, set the envelope to `none`)"
    )]
    Sns,
    #[error("the body is not an EventBridge event with source, detail-type and detail")]
    EventBridge,
}

impl Keyword for Envelope {
    const ALL: &'static [Self] = &[Self::None, Self::Sns, Self::EventBridge];

    fn keyword(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sns => "sns",
            Self::EventBridge => "eventbridge",
        }
    }
}

impl Envelope {
    /// Returns the text inside the envelope.
    pub(crate) fn unwrap<'a>(self, body: &'a str) -> Result<Cow<'a, str>, MissingEnvelope> {
        match self {
            Self::None => Ok(Cow::Borrowed(body)),
            Self::Sns => SnsNotification::read(body)
                .and_then(|notification| notification.message())
                .ok_or(MissingEnvelope::Sns),
            Self::EventBridge => EventBridgeEnvelope::read(body)
                .map(|event| Cow::Borrowed(event.detail()))
                .ok_or(MissingEnvelope::EventBridge),
        }
    }
}

/// Metadata of SNS about a message that was published to a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnsMetadata {
    /// Id that SNS gave the message, the same for all subscribers.
    pub message_id: Option<String>,
    /// ARN of the topic.
    pub topic_arn: Option<String>,
    /// Subject, if the publisher set one.
    pub subject: Option<String>,
    /// Names and values of the message attributes. Binary values are in base64.
    pub attributes: Vec<(String, String)>,
}

impl SnsMetadata {
    pub(crate) fn read(body: &str) -> Option<Self> {
        let notification = SnsNotification::read(body)?;
        let pair = |attribute: MessageAttribute<'_>| {
            let value = attribute.string_value.or(attribute.binary_value)?;
            Some((attribute.name.into_owned(), value.into_owned()))
        };
        Some(Self {
            message_id: notification.message_id().map(Cow::into_owned),
            topic_arn: notification.topic_arn().map(Cow::into_owned),
            subject: notification.subject().map(Cow::into_owned),
            attributes: notification.attributes().filter_map(pair).collect(),
        })
    }
}

/// Metadata of EventBridge about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventBridgeMetadata {
    /// Id that EventBridge gave the event.
    pub id: Option<String>,
    /// Source of the event, such as `com.example.orders`.
    pub source: String,
    /// Type of the event.
    pub detail_type: String,
}

impl EventBridgeMetadata {
    pub(crate) fn read(body: &str) -> Option<Self> {
        let event = EventBridgeEnvelope::read(body)?;
        Some(Self {
            id: event.id().map(Cow::into_owned),
            source: event.source()?.into_owned(),
            detail_type: event.detail_type()?.into_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
