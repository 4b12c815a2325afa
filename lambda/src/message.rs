//! What a handler gets.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::envelope::{Envelope, EventBridgeMetadata, MissingEnvelope, SnsMetadata};
use crate::event::{Batch, MessageAttribute, Record};

/// One SQS message with its decoded body.
///
/// The body is decoded as JSON into `T`, except for `Message<String>` and [`Message<Raw>`](Raw),
/// which get its text as it is. Metadata is read from the event when it is asked for; nothing is
/// copied for a handler that does not ask.
#[derive(Clone)]
pub struct Message<T> {
    /// The decoded body.
    pub body: T,
    batch: Arc<Batch>,
    index: usize,
}

impl<T> Message<T> {
    /// The identifier that SQS gave the message, or an empty string in a malformed event.
    #[must_use]
    pub fn id(&self) -> Cow<'_, str> {
        self.record().message_id().unwrap_or_default()
    }

    /// The handle of this delivery, for changing its visibility.
    #[must_use]
    pub fn receipt_handle(&self) -> Option<Cow<'_, str>> {
        self.record().receipt_handle()
    }

    /// The ARN of the queue that the message came from.
    #[must_use]
    pub fn queue_arn(&self) -> Option<Cow<'_, str>> {
        self.record().queue_arn()
    }

    /// How often the message has been delivered, this time included (`ApproximateReceiveCount`).
    #[must_use]
    pub fn receive_count(&self) -> Option<u32> {
        self.record().receive_count()
    }

    /// When SQS accepted the message (`SentTimestamp`).
    #[must_use]
    pub fn sent_at(&self) -> Option<SystemTime> {
        let sent = self.record().sent_timestamp()?;
        UNIX_EPOCH.checked_add(Duration::from_millis(sent))
    }

    /// The group of a FIFO message, or of a message on a fair queue (`MessageGroupId`).
    #[must_use]
    pub fn group_id(&self) -> Option<Cow<'_, str>> {
        self.record().group_id()
    }

    /// The text of a message attribute of type `String` or `Number`, by its exact name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        // As in any JSON object, the last of several with one name counts.
        let attribute = self.attributes().filter(|attribute| attribute.name == name);
        attribute.last()?.string_value
    }

    /// All message attributes, in the order of the event.
    pub fn attributes(&self) -> impl Iterator<Item = MessageAttribute<'_>> {
        self.record().message_attributes()
    }

    /// What SNS says about the message, if its body is an SNS notification, whatever the
    /// [`Envelope`]. Read from the body each time.
    #[must_use]
    pub fn sns(&self) -> Option<SnsMetadata> {
        SnsMetadata::read(&self.record().envelope_body()?)
    }

    /// What EventBridge says about the event that the message's body is, whatever the [`Envelope`].
    /// Read from the body each time.
    #[must_use]
    pub fn event_bridge(&self) -> Option<EventBridgeMetadata> {
        EventBridgeMetadata::read(&self.record().envelope_body()?)
    }

    fn record(&self) -> Record<'_> {
        self.batch.record(self.index)
    }
}

/// Without the body: it must not get into a log by accident.
impl<T> fmt::Debug for Message<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Message")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// A body as it is, for handlers that decode it themselves, perhaps borrowing from it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Raw(String);

impl Deref for Raw {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Without the text: a body must not get into a log by accident.
impl fmt::Debug for Raw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Raw({} bytes)", self.0.len())
    }
}

/// Why a body did not become what the handler takes. Says where, and never what: a body may hold
/// personal data.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the message has no readable body")]
    Missing,
    #[error(transparent)]
    MissingEnvelope(#[from] MissingEnvelope),
    #[error("the body is not JSON: the error is at line {line} column {column}")]
    Syntax { line: usize, column: usize },
    #[error(
        "the body is JSON, but not of the form that the handler takes: the error is at line {line} column {column}"
    )]
    TypeMismatch { line: usize, column: usize },
    #[error(
        "the body is JSON, but not of the form that the handler takes: {name} is missing before line {line} column {column}"
    )]
    MissingField {
        name: String,
        line: usize,
        column: usize,
    },
}

impl From<serde_json::Error> for BodyError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        match (error.is_data(), missing_field_name(&error)) {
            (false, _) => Self::Syntax { line, column },
            (true, None) => Self::TypeMismatch { line, column },
            (true, Some(name)) => Self::MissingField { name, line, column },
        }
    }
}

/// The one thing in an error of `serde`'s that is sure to be the type's and not the body's.
fn missing_field_name(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let (name, _) = text.strip_prefix("missing field `")?.split_once('`')?;
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    is_name.then(|| name.to_owned())
}

impl<T: DeserializeOwned + 'static> Message<T> {
    pub(crate) fn decode(
        batch: &Arc<Batch>,
        index: usize,
        envelope: Envelope,
    ) -> Result<Self, BodyError> {
        let body = batch.record(index).body().ok_or(BodyError::Missing)?;
        let text = match envelope {
            Envelope::None => body,
            _ => Cow::Owned(envelope.unwrap(&body)?.into_owned()),
        };
        Ok(Self {
            body: decode_body(text)?,
            batch: Arc::clone(batch),
            index,
        })
    }
}

fn decode_body<T: DeserializeOwned + 'static>(text: Cow<'_, str>) -> Result<T, BodyError> {
    // `T` is one of these exactly when the slot for it can be taken as theirs.
    let mut decoded: Option<T> = None;
    let slot: &mut dyn Any = &mut decoded;
    if let Some(slot) = slot.downcast_mut::<Option<String>>() {
        *slot = Some(text.into_owned());
    } else if let Some(slot) = slot.downcast_mut::<Option<Raw>>() {
        *slot = Some(Raw(text.into_owned()));
    } else {
        return serde_json::from_str(&text).map_err(BodyError::from);
    }
    decoded.ok_or(BodyError::Missing)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message<T: DeserializeOwned + 'static>(body: &str) -> Result<Message<T>, BodyError> {
        wrapped(body, Envelope::None)
    }

    fn wrapped<T: DeserializeOwned + 'static>(
        body: &str,
        envelope: Envelope,
    ) -> Result<Message<T>, BodyError> {
        let event = json!({"Records": [{
            "messageId": "id-1",
            "receiptHandle": "handle",
            "body": body,
            "attributes": {"ApproximateReceiveCount": "3", "SentTimestamp": "1700000000123", "MessageGroupId": "g"},
            "messageAttributes": {"tenant": {"stringValue": "blue", "dataType": "String"}, "none": null},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:orders",
        }]});
        let payload = serde_json::to_vec(&event).unwrap();
        Message::decode(&Arc::new(Batch::parse(payload).unwrap()), 0, envelope)
    }

    #[test]
    fn a_body_is_decoded_as_json_but_strings_and_raw_bodies_are_left_alone() {
        assert_eq!(message::<Vec<u8>>("[1, 2]").unwrap().body, [1, 2]);
        assert_eq!(message::<String>("[1, \"a\"]").unwrap().body, "[1, \"a\"]");
        assert_eq!(&*message::<Raw>("not \n JSON").unwrap().body, "not \n JSON");
    }

    #[test]
    fn a_body_that_does_not_decode_says_where_and_not_what() {
        let error = message::<u8>("\"SECRET\"").unwrap_err();
        assert!(matches!(error, BodyError::TypeMismatch { line: 1, .. }));
        assert!(!error.to_string().contains("SECRET"));
        assert!(matches!(
            message::<Vec<u8>>("[1"),
            Err(BodyError::Syntax { .. })
        ));
    }

    #[test]
    fn a_field_that_is_missing_is_named_by_the_handlers_type_and_nothing_else_is() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Order {
            #[serde(rename = "order-id")]
            _id: String,
        }
        let error = message::<Order>("{}").unwrap_err().to_string();
        let expected = "the body is JSON, but not of the form that the handler takes: order-id is missing before line 1 column 2";
        assert_eq!(error, expected);
        let error = message::<Order>(r#"{"missing field `SECRET`": 1}"#).unwrap_err();
        assert!(matches!(error, BodyError::TypeMismatch { .. }), "{error}");
    }

    #[test]
    fn metadata_is_read_from_the_event() {
        let message = message::<String>("x").unwrap();
        assert_eq!((&*message.id(), message.receive_count()), ("id-1", Some(3)));
        assert_eq!(message.receipt_handle().as_deref(), Some("handle"));
        assert_eq!(message.group_id().as_deref(), Some("g"));
        assert_eq!(message.attribute("tenant").as_deref(), Some("blue"));
        let attributes: Vec<_> = message.attributes().collect();
        assert_eq!((attributes.len(), &*attributes[0].name), (1, "tenant"));
        assert_eq!(attributes[0].data_type.as_deref(), Some("String"));
        assert_eq!(
            (message.attribute("none"), message.attribute("other")),
            (None, None)
        );
        let sent = message
            .sent_at()
            .unwrap()
            .duration_since(UNIX_EPOCH)
            .unwrap();
        assert_eq!(sent.as_millis(), 1_700_000_000_123);
    }

    #[test]
    fn a_body_is_taken_out_of_its_envelope() {
        let body = json!({"Type": "Notification", "Subject": "s", "Message": "[1, 2]"}).to_string();
        let unwrapped = wrapped::<Vec<u8>>(&body, Envelope::Sns).unwrap();
        assert_eq!(unwrapped.body, [1, 2]);
        assert_eq!(unwrapped.sns().unwrap().subject.as_deref(), Some("s"));
        assert_eq!(unwrapped.event_bridge(), None);
        assert_eq!(message::<String>(&body).unwrap().body, body);
        let error = wrapped::<String>(&body, Envelope::EventBridge).unwrap_err();
        assert_eq!(
            error,
            BodyError::MissingEnvelope(MissingEnvelope::EventBridge)
        );
        let body = json!({"source": "crm", "detail-type": "t", "detail": {"a": 1}}).to_string();
        let unwrapped = wrapped::<String>(&body, Envelope::EventBridge).unwrap();
        assert_eq!(unwrapped.body, "{\"a\":1}");
        assert_eq!(unwrapped.event_bridge().unwrap().detail_type, "t");
    }

    #[test]
    fn a_body_never_shows_in_debug_output() {
        let text = format!(
            "{:?} {:?}",
            message::<Raw>("SECRET").unwrap(),
            Raw("SECRET".into())
        );
        assert!(!text.contains("SECRET"), "{text}");
    }
}
