//! The two maps of a record: what SQS says about the message, and what its sender attached.

use baton_telemetry::{BAGGAGE, TRACEPARENT, TRACESTATE};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A string that is borrowed where the JSON has no escapes. (Inside an `Option`, `Cow` alone would always be owned.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// `attributes`: all of them strings, whatever they mean.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SystemAttributes<'a> {
    #[serde(borrow)]
    approximate_receive_count: Option<Text<'a>>,
    #[serde(borrow)]
    sent_timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    message_group_id: Option<Text<'a>>,
}

impl<'a> SystemAttributes<'a> {
    /// How often the message has been delivered, this time included.
    pub(crate) fn receive_count(&self) -> Option<u32> {
        number(&self.approximate_receive_count)
    }

    /// When SQS got the message, in milliseconds since 1970.
    pub(crate) fn sent_timestamp(&self) -> Option<u64> {
        number(&self.sent_timestamp)
    }

    pub(crate) fn into_message_group_id(self) -> Option<Cow<'a, str>> {
        self.message_group_id.map(|text| text.0)
    }
}

fn number<T: std::str::FromStr>(text: &Option<Text<'_>>) -> Option<T> {
    text.as_ref()?.0.parse().ok()
}

/// One of `messageAttributes`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageAttribute<'a> {
    #[serde(borrow)]
    pub(crate) string_value: Option<Text<'a>>,
}

/// The text of an attribute. One that is there and has none is an empty text, which no propagator takes for valid: it must not make its
/// neighbours unreadable, nor count as absent.
fn text_or_nothing(json: &RawValue) -> Cow<'_, str> {
    let attribute: Option<MessageAttribute<'_>> = serde_json::from_str(json.get()).ok();
    let text = attribute.and_then(|attribute| attribute.string_value);
    text.map_or(Cow::Borrowed(""), |text| text.0)
}

/// The message attributes that may hold a W3C context. Others are skipped without being built.
#[derive(Debug, Default)]
pub(crate) struct TraceCarrier<'a> {
    pub(crate) traceparent: Option<Cow<'a, str>>,
    pub(crate) tracestate: Option<Cow<'a, str>>,
    pub(crate) baggage: Option<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for TraceCarrier<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CarrierVisitor;

        impl<'de> Visitor<'de> for CarrierVisitor {
            type Value = TraceCarrier<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map of message attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut carrier = TraceCarrier::default();
                while let Some(Text(name)) = map.next_key()? {
                    let slot = match &*name {
                        TRACEPARENT => &mut carrier.traceparent,
                        TRACESTATE => &mut carrier.tracestate,
                        BAGGAGE => &mut carrier.baggage,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *slot = map
                        .next_value::<Option<&'de RawValue>>()?
                        .map(text_or_nothing);
                }
                Ok(carrier)
            }
        }

        deserializer.deserialize_map(CarrierVisitor)
    }
}

/// Finds one message attribute by its exact name.
pub(super) struct Lookup<'n>(pub(super) &'n str);

impl Lookup<'_> {
    /// `None` as well when the map cannot be read.
    pub(super) fn find<'a>(self, json: &'a str) -> Option<MessageAttribute<'a>> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        deserializer.deserialize_map(self).ok().flatten()
    }
}

impl<'de> Visitor<'de> for Lookup<'_> {
    type Value = Option<MessageAttribute<'de>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map of message attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Text(name)) = map.next_key()? {
            if name == self.0 {
                found = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}
