//! The message that a handler gets.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use baton_telemetry::MessageFields;
use opentelemetry::{Key, Value};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::envelope::{Envelope, EventBridgeMetadata, MissingEnvelope, SnsMetadata};
use crate::event::{MessageAttribute, SqsBatch, SqsRecord};
use crate::failure::{Failure, HandlerError};
use crate::handler::MessageBody;

/// One SQS message with its decoded body.
///
/// The body is decoded from JSON into `T`, except for `Message<String>` and [`Message<Raw>`](Raw),
/// which get the text unchanged. `T` owns its data: a type with a lifetime, such as one with a
/// field `&str`, is not supported. Metadata is read from the event when a method is called, so that
/// unused metadata costs nothing.
///
/// ```
/// use baton_lambda::{Failure, Message};
///
/// #[derive(serde::Deserialize)]
/// struct Order {
///     id: String,
/// }
///
/// async fn handle(message: Message<Order>) -> Result<(), Failure> {
///     let tenant = message.attribute("tenant");
///     tracing::info!(order_id = message.body.id, tenant = tenant.as_deref(), "order received");
///     if message.receive_count().is_some_and(|count| count > 1) {
///         tracing::warn!("order redelivered");
///     }
///     Ok(())
/// }
/// # use baton_lambda::testing::{Batch, Record};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let record = Record::raw(r#"{"id": "1"}"#).attribute("tenant", "blue").receive_count(2);
/// # assert!(Batch::standard("orders").record(record).run(handle).await.failed().is_empty());
/// # }
/// ```
#[derive(Clone)]
pub struct Message<T> {
    /// The decoded body.
    pub body: T,
    batch: Arc<SqsBatch>,
    index: usize,
    log_fields: MessageFields,
}

impl<T> Message<T> {
    /// Returns the id that SQS gave the message, or an empty string if the event has none.
    #[must_use]
    pub fn id(&self) -> Cow<'_, str> {
        self.record().message_id().unwrap_or_default()
    }

    /// Returns the receipt handle of this delivery, for changing its visibility timeout.
    #[must_use]
    pub fn receipt_handle(&self) -> Option<Cow<'_, str>> {
        self.record().receipt_handle()
    }

    /// Returns the ARN of the source queue.
    #[must_use]
    pub fn queue_arn(&self) -> Option<Cow<'_, str>> {
        self.record().queue_arn()
    }

    /// Returns the number of deliveries, including this one (`ApproximateReceiveCount`).
    #[must_use]
    pub fn receive_count(&self) -> Option<u32> {
        self.record().receive_count()
    }

    /// Returns the time at which SQS accepted the message (`SentTimestamp`).
    #[must_use]
    pub fn sent_at(&self) -> Option<SystemTime> {
        let sent = self.record().sent_timestamp()?;
        UNIX_EPOCH.checked_add(Duration::from_millis(sent))
    }

    /// Returns the message group of a message on a FIFO queue or a fair queue (`MessageGroupId`).
    #[must_use]
    pub fn group_id(&self) -> Option<Cow<'_, str>> {
        self.record().group_id()
    }

    /// Returns the value of the message attribute with this exact name, if its type is `String` or
    /// `Number`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        // If a name occurs several times, the last value is used, as in any JSON object.
        let attribute = self.attributes().filter(|attribute| attribute.name == name);
        attribute.last()?.string_value
    }

    /// Returns all message attributes, in the order of the event.
    pub fn attributes(&self) -> impl Iterator<Item = MessageAttribute<'_>> {
        self.record().message_attributes()
    }

    /// Returns the SNS metadata if the body is an SNS notification, regardless of the [`Envelope`]
    /// option. Parses the body on each call.
    #[must_use]
    pub fn sns(&self) -> Option<SnsMetadata> {
        SnsMetadata::read(&self.record().envelope_body()?)
    }

    /// Returns the EventBridge metadata if the body is an EventBridge event, regardless of the
    /// [`Envelope`] option. Parses the body on each call.
    #[must_use]
    pub fn event_bridge(&self) -> Option<EventBridgeMetadata> {
        EventBridgeMetadata::read(&self.record().envelope_body()?)
    }

    /// Returns the context of the invocation: its request id, its deadline, and the function's ARN
    /// and configuration.
    ///
    /// Handlers are cancelled shortly before the deadline: see
    /// [`ConsumerBuilder::cancel_before_deadline`](crate::ConsumerBuilder::cancel_before_deadline).
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// use baton_lambda::{Failure, Message};
    ///
    /// async fn handle(message: Message<String>) -> Result<(), Failure> {
    ///     let left = message.lambda_context().deadline().duration_since(SystemTime::now())?;
    ///     if left < Duration::from_secs(20) {
    ///         return Err(Failure::retry("no_time", "the import takes up to 20 seconds"));
    ///     }
    ///     Ok(())
    /// }
    /// # use baton_lambda::testing::Batch;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let batch = |limit| Batch::standard("orders").raw_message("").timeout(limit);
    /// # assert!(batch(Duration::from_secs(60)).run(handle).await.failed().is_empty());
    /// # assert_eq!(batch(Duration::from_secs(15)).run(handle).await.failed().len(), 1);
    /// # }
    /// ```
    #[must_use]
    pub fn lambda_context(&self) -> &lambda_runtime::Context {
        self.batch.lambda_context()
    }

    /// Adds a field to all further log lines and log records of this message: those of the handler,
    /// those of the layers around it, and the runtime's own, such as `message failed`. A field with
    /// the same key is replaced. A key that the line already has gets the prefix `message.`.
    ///
    /// ```
    /// use baton_lambda::{Failure, Message};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Order {
    ///     id: String,
    /// }
    ///
    /// async fn handle(message: Message<Order>) -> Result<(), Failure> {
    ///     message.log_field("order_id", message.body.id.clone());
    ///     tracing::info!("order received"); // … "order_id":"7" …
    ///     Err(Failure::retry("busy", "the store is busy")) // logged with the same field
    /// }
    /// # use baton_lambda::testing::Batch;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let batch = Batch::standard("orders").message(serde_json::json!({"id": "7"}));
    /// # assert_eq!(batch.run(handle).await.failed().len(), 1);
    /// # }
    /// ```
    ///
    /// [`ConsumerBuilder::log_fields`](crate::ConsumerBuilder::log_fields) adds fields before the
    /// body is decoded, so that the line about an invalid body has them too.
    pub fn log_field(&self, key: impl Into<Key>, value: impl Into<Value>) {
        self.log_fields.set(key, value);
    }

    fn record(&self) -> SqsRecord<'_> {
        self.batch.record(self.index)
    }
}

impl Message<Raw> {
    /// Decodes the body as for a handler of `Message<T>`, for handlers that choose the type
    /// themselves.
    ///
    /// ```
    /// use baton_lambda::{Failure, Message, Raw};
    ///
    /// async fn handle(message: Message<Raw>) -> Result<(), Failure> {
    ///     if message.attribute("version").as_deref() == Some("2") {
    ///         let message: Message<(String, u32)> = message.decode_as()?;
    ///         println!("{} of {}", message.body.1, message.body.0);
    ///     }
    ///     Ok(())
    /// }
    /// # use baton_lambda::testing::{Batch, Record};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let record = Record::json(("tea", 2)).attribute("version", "2");
    /// # assert!(Batch::standard("orders").record(record).run(handle).await.failed().is_empty());
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a permanent failure with the `error.type` `invalid_body`, which states the position
    /// but no values.
    pub fn decode_as<T: MessageBody>(self) -> Result<Message<T>, HandlerError> {
        let body = decode_body(Cow::Owned(self.body.0));
        let body = body.map_err(|error| Failure::from_invalid_body(error).into_error())?;
        Ok(Message {
            body,
            batch: self.batch,
            index: self.index,
            log_fields: self.log_fields,
        })
    }
}

impl Message<()> {
    /// Returns the metadata of the message at a position of the batch.
    pub(crate) fn without_body(batch: &Arc<SqsBatch>, index: usize) -> Self {
        Self {
            body: (),
            batch: Arc::clone(batch),
            index,
            log_fields: batch.log_fields(index),
        }
    }
}

/// Omits the body, which must not be logged by accident.
impl<T> fmt::Debug for Message<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Message")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// The undecoded body, for handlers that decode it themselves. Dereferences to `str`, so that the
/// decoded value can borrow from it.
///
/// ```
/// use baton_lambda::{Failure, Message, Raw};
///
/// #[derive(serde::Deserialize)]
/// struct Order<'a> {
///     id: &'a str,
/// }
///
/// async fn handle(message: Message<Raw>) -> Result<(), Failure> {
///     let order: Order<'_> = serde_json::from_str(&message.body)?;
///     println!("order {}", order.id);
///     Ok(())
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let batch = baton_lambda::testing::Batch::standard("orders").raw_message(r#"{"id": "1"}"#);
/// # assert!(batch.run(handle).await.failed().is_empty());
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Raw(String);

impl Deref for Raw {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Omits the text, which must not be logged by accident.
impl fmt::Debug for Raw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Raw({} bytes)", self.0.len())
    }
}

/// Error of a body that cannot be decoded. Contains positions but no values, because a body may
/// contain personal data.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the message has no readable body")]
    Missing,
    #[error(transparent)]
    MissingEnvelope(#[from] MissingEnvelope),
    #[error("the body is not JSON: error at line {line} column {column}")]
    Syntax { line: usize, column: usize },
    #[error(
        "the body is not an object with a string in field {name}, which selects the handler: error at line {line} column {column}"
    )]
    TypeField {
        name: String,
        line: usize,
        column: usize,
    },
    #[error("the body does not match the handler's type: error at line {line} column {column}")]
    TypeMismatch { line: usize, column: usize },
    #[error(
        "the body does not match the handler's type: missing field {name} at line {line} column {column}"
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

/// Returns the name of a missing field. It is the only part of a `serde` error that is certain to
/// come from the handler's type and not from the body.
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
        batch: &Arc<SqsBatch>,
        index: usize,
        envelope: Envelope,
    ) -> Result<Self, BodyError> {
        let body = batch.record(index).body().ok_or(BodyError::Missing)?;
        let text = match envelope {
            Envelope::None => body,
            _ => Cow::Owned(envelope.unwrap(&body)?.into_owned()),
        };
        let Message {
            batch,
            index,
            log_fields,
            ..
        } = Message::without_body(batch, index);
        Ok(Self {
            body: decode_body(text)?,
            batch,
            index,
            log_fields,
        })
    }
}

fn decode_body<T: DeserializeOwned + 'static>(text: Cow<'_, str>) -> Result<T, BodyError> {
    // Specialisation is not stable. The downcast succeeds if `T` is the type, and the compiler
    // removes the other branches.
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
        decode_message(body, Envelope::None)
    }

    fn decode_message<T: DeserializeOwned + 'static>(
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
        Message::decode(
            &Arc::new(SqsBatch::parse(payload, Arc::default()).unwrap()),
            0,
            envelope,
        )
    }

    #[test]
    fn bodies_are_decoded_from_json_except_for_strings_and_raw_bodies() {
        assert_eq!(message::<Vec<u8>>("[1, 2]").unwrap().body, [1, 2]);
        assert_eq!(message::<String>("[1, \"a\"]").unwrap().body, "[1, \"a\"]");
        assert_eq!(&*message::<Raw>("not \n JSON").unwrap().body, "not \n JSON");
    }

    #[test]
    fn the_error_of_a_body_has_a_position_and_no_values() {
        let error = message::<u8>("\"SECRET\"").unwrap_err();
        assert!(matches!(error, BodyError::TypeMismatch { line: 1, .. }));
        assert!(!error.to_string().contains("SECRET"));
        assert!(matches!(
            message::<Vec<u8>>("[1"),
            Err(BodyError::Syntax { .. })
        ));
    }

    #[test]
    fn the_error_names_a_missing_field_of_the_handlers_type_only() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Order {
            #[serde(rename = "order-id")]
            _id: String,
        }
        let error = message::<Order>("{}").unwrap_err().to_string();
        let expected =
            "the body does not match the handler's type: missing field order-id at line 1 column 2";
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
    fn a_body_is_unwrapped_from_its_envelope() {
        let body = json!({"Type": "Notification", "Subject": "s", "Message": "[1, 2]"}).to_string();
        let unwrapped = decode_message::<Vec<u8>>(&body, Envelope::Sns).unwrap();
        assert_eq!(unwrapped.body, [1, 2]);
        assert_eq!(unwrapped.sns().unwrap().subject.as_deref(), Some("s"));
        assert_eq!(unwrapped.event_bridge(), None);
        assert_eq!(message::<String>(&body).unwrap().body, body);
        let error = decode_message::<String>(&body, Envelope::EventBridge).unwrap_err();
        assert_eq!(
            error,
            BodyError::MissingEnvelope(MissingEnvelope::EventBridge)
        );
        let body = json!({"source": "crm", "detail-type": "t", "detail": {"a": 1}}).to_string();
        let unwrapped = decode_message::<String>(&body, Envelope::EventBridge).unwrap();
        assert_eq!(unwrapped.body, "{\"a\":1}");
        assert_eq!(unwrapped.event_bridge().unwrap().detail_type, "t");
    }

    #[test]
    fn debug_output_omits_the_body() {
        let text = format!(
            "{:?} {:?}",
            message::<Raw>("SECRET").unwrap(),
            Raw("SECRET".into())
        );
        assert!(!text.contains("SECRET"), "{text}");
    }
}
