//! Envelopes that other services put around a message: SNS notifications and EventBridge events.

use std::borrow::Cow;
use std::num::NonZeroU32;

use super::attributes::{MessageAttribute, MessageAttributes, SNS_NAMES, read_string_or_skip};
use super::carrier::{CarrierFields, TraceCarrier};
use super::scanner::{JsonKind, Scanner};
use super::string::JsonString;

/// `Type` of an SNS notification.
const NOTIFICATION: &str = "Notification";
/// Field of EventBridge events that hardly any other JSON has.
const DETAIL_TYPE: &str = "detail-type";

/// Returns `true` if a text may be an envelope: an object that contains one of the two names. The
/// text may still have the escapes of a JSON string, so that most bodies need not be decoded.
pub(super) fn may_be_envelope(text: &str) -> bool {
    // A body that was formatted for reading may begin with line breaks, which are escapes in a text
    // that is not decoded.
    let mut start = text.trim_start();
    while let Some(rest) = start
        .strip_prefix(r"\n")
        .or(start.strip_prefix(r"\r"))
        .or(start.strip_prefix(r"\t"))
    {
        start = rest.trim_start();
    }
    start.starts_with('{') && (start.contains(NOTIFICATION) || start.contains(DETAIL_TYPE))
}

/// Returns a scanner at the start of the text if it looks like an object.
fn scan_object(json: &str) -> Option<Scanner<'_>> {
    let mut scanner = Scanner::new(json);
    (scanner.peek_kind() == JsonKind::Object).then_some(scanner)
}

/// An SNS notification, which SNS sends to SQS unless the subscription has raw message delivery.
#[derive(Debug)]
pub(crate) struct SnsNotification<'a> {
    json: &'a str,
    message: JsonString,
    message_id: Option<JsonString>,
    topic_arn: Option<JsonString>,
    subject: Option<JsonString>,
    attributes: Option<NonZeroU32>,
    carrier: CarrierFields,
}

impl<'a> SnsNotification<'a> {
    /// Returns `None` if the text is not a notification.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let mut scanner = scan_object(text)?;
        let json = scanner.json();
        let (mut kind, mut message, mut message_id) = (None, None, None);
        let (mut topic_arn, mut subject) = (None, None);
        let (mut attributes, mut carrier) = (None, CarrierFields::default());
        scanner.enter();
        while let Some(key) = scanner.next_key() {
            let field = match key.decode(json).as_deref() {
                Some("Type") => &mut kind,
                Some("Message") => &mut message,
                Some("MessageId") => &mut message_id,
                Some("TopicArn") => &mut topic_arn,
                Some("Subject") => &mut subject,
                Some("MessageAttributes") => {
                    attributes = scanner.object_start();
                    carrier = CarrierFields::read_attributes(&mut scanner, &SNS_NAMES);
                    continue;
                }
                _ => {
                    scanner.skip();
                    continue;
                }
            };
            *field = read_string_or_skip(&mut scanner);
        }
        // The fields are used only if the whole text is valid, because attributes are later read
        // from their position, as in a document that is known to be valid.
        let is_notification = scanner.is_at_end() && kind?.decode(json)? == NOTIFICATION;
        Some(Self {
            json,
            message: message.filter(|_| is_notification)?,
            message_id,
            topic_arn,
            subject,
            attributes,
            carrier,
        })
    }

    /// Returns the published message, or `None` if it is not valid Unicode.
    pub(crate) fn message(&self) -> Option<Cow<'a, str>> {
        self.message.decode(self.json)
    }

    pub(crate) fn message_id(&self) -> Option<Cow<'a, str>> {
        self.message_id?.decode(self.json)
    }

    pub(crate) fn topic_arn(&self) -> Option<Cow<'a, str>> {
        self.topic_arn?.decode(self.json)
    }

    pub(crate) fn subject(&self) -> Option<Cow<'a, str>> {
        self.subject?.decode(self.json)
    }

    pub(crate) fn attributes(&self) -> impl Iterator<Item = MessageAttribute<'a>> + use<'a> {
        MessageAttributes::new(self.json, self.attributes, &SNS_NAMES)
    }

    pub(crate) fn trace_carrier(&self) -> TraceCarrier<'a> {
        self.carrier.decode(self.json)
    }
}

/// An EventBridge event, which a rule sends unless it has an input transformer.
#[derive(Debug)]
pub(crate) struct EventBridgeEnvelope<'a> {
    json: &'a str,
    detail: &'a str,
    detail_type: JsonString,
    source: JsonString,
    id: Option<JsonString>,
    fields: CarrierFields,
    detail_fields: CarrierFields,
}

impl<'a> EventBridgeEnvelope<'a> {
    /// Returns `None` if the text is not an EventBridge event.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let mut scanner = scan_object(text)?;
        let json = scanner.json();
        // A clone reads the trace context ahead, because the loop below reads the same object again
        // for the other fields.
        let fields = CarrierFields::read_fields(&mut scanner.clone());
        let (mut detail, mut detail_type, mut source, mut id) = (None, None, None, None);
        let mut detail_fields = CarrierFields::default();
        scanner.enter();
        while let Some(key) = scanner.next_key() {
            let field = match key.decode(json).as_deref() {
                Some(DETAIL_TYPE) => &mut detail_type,
                Some("source") => &mut source,
                Some("id") => &mut id,
                Some("detail") => {
                    detail_fields = CarrierFields::read_fields(&mut scanner.clone());
                    detail = Some(scanner.read_raw());
                    continue;
                }
                _ => {
                    scanner.skip();
                    continue;
                }
            };
            *field = read_string_or_skip(&mut scanner);
        }
        scanner.is_at_end().then_some(())?;
        Some(Self {
            json,
            detail: detail?,
            detail_type: detail_type?,
            source: source?,
            id,
            fields,
            detail_fields,
        })
    }

    /// Returns the JSON of the field `detail`.
    pub(crate) fn detail(&self) -> &'a str {
        self.detail
    }

    pub(crate) fn detail_type(&self) -> Option<Cow<'a, str>> {
        self.detail_type.decode(self.json)
    }

    pub(crate) fn source(&self) -> Option<Cow<'a, str>> {
        self.source.decode(self.json)
    }

    pub(crate) fn id(&self) -> Option<Cow<'a, str>> {
        self.id?.decode(self.json)
    }

    /// Returns the trace context in the event's own fields, which only an input transformer can
    /// set, and then the one in `detail`, which senders can set.
    pub(crate) fn trace_carriers(&self) -> [TraceCarrier<'a>; 2] {
        [
            self.fields.decode(self.json),
            self.detail_fields.decode(self.json),
        ]
    }
}
