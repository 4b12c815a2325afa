//! What a body is wrapped in when the message came through another service.

use std::borrow::Cow;
use std::str::FromStr;

use crate::event::{EventBridgeEnvelope, MessageAttribute, SnsNotification};

/// What is around the body that handlers take.
///
/// Where a subscription of SNS has raw message delivery, and where a rule of EventBridge has an
/// input transformer that leaves nothing but the detail, there is nothing to unwrap:
/// [`Envelope::None`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Envelope {
    /// Nothing: handlers take the body of the SQS message.
    #[default]
    None,
    /// An SNS notification: handlers take its `Message`.
    Sns,
    /// An EventBridge event: handlers take its `detail`.
    EventBridge,
}

/// As in `BATON_ENVELOPE`.
impl FromStr for Envelope {
    type Err = UnknownEnvelope;

    fn from_str(text: &str) -> Result<Self, UnknownEnvelope> {
        match text {
            "none" => Ok(Self::None),
            "sns" => Ok(Self::Sns),
            "eventbridge" => Ok(Self::EventBridge),
            _ => Err(UnknownEnvelope),
        }
    }
}

/// The text names no [`Envelope`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected none, sns or eventbridge")]
pub struct UnknownEnvelope;

/// A body that is not wrapped in what it should be wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MissingEnvelope {
    #[error(
        "the body is not an SNS notification (with raw message delivery there is none, and the envelope is `none`)"
    )]
    Sns,
    #[error("the body is not an EventBridge event with source, detail-type and detail")]
    EventBridge,
}

impl Envelope {
    /// What is inside of `body`.
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

/// What SNS says about a message that came through a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnsMetadata {
    /// The identifier that SNS gave the message, the same for all subscribers.
    pub message_id: Option<String>,
    /// The topic.
    pub topic_arn: Option<String>,
    /// The subject, if its publisher gave one.
    pub subject: Option<String>,
    /// Names and values of its message attributes; binary values in base64.
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

/// What EventBridge says about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventBridgeMetadata {
    /// The identifier that EventBridge gave the event.
    pub id: Option<String>,
    /// Who sent it, such as `com.example.orders`.
    pub source: String,
    /// What kind of event it is.
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
