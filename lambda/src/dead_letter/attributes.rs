//! The attributes of a message: as they stand in the event, and as SQS takes them.

use std::collections::BTreeMap;

use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value as Json;

/// Prefix of binary data types; a custom label may follow, as in `Binary.png`.
const BINARY: &str = "Binary";

/// A message attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) data_type: String,
    pub(super) value: Value,
}

/// What it holds. A number is text to SQS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Bytes(Vec<u8>),
}

/// What the sender attached.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Attached {
    pub(super) attributes: Vec<Attribute>,
    /// Names of those that SQS would not take: lists, which it has never implemented, and what
    /// holds nothing readable.
    pub(super) unsendable: Vec<String>,
}

/// A map of attributes that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAttribute {
    string_value: Option<String>,
    binary_value: Option<String>,
    data_type: Option<String>,
}

impl Attached {
    /// Reads `messageAttributes`. One attribute that cannot be read does not make its neighbours
    /// unreadable.
    pub(super) fn read(json: Option<&str>) -> Result<Self, Unreadable> {
        let map: Option<BTreeMap<String, Json>> =
            serde_json::from_str(json.unwrap_or("null")).map_err(|_| Unreadable)?;
        let mut attached = Self::default();
        for (name, value) in map.unwrap_or_default() {
            match Attribute::read(&name, value) {
                Some(attribute) => attached.attributes.push(attribute),
                None => attached.unsendable.push(name),
            }
        }
        Ok(attached)
    }
}

impl Attribute {
    fn read(name: &str, value: Json) -> Option<Self> {
        let RawAttribute {
            string_value,
            binary_value,
            data_type,
        } = serde_json::from_value(value).ok()?;
        let data_type = data_type.filter(|data_type| !data_type.is_empty())?;
        let value = if data_type.starts_with(BINARY) {
            Value::Bytes(BASE64_STANDARD.decode(binary_value?).ok()?)
        } else {
            Value::Text(string_value?)
        };
        (!value.bytes().is_empty()).then(|| Self {
            name: name.to_owned(),
            data_type,
            value,
        })
    }

    /// Bytes that SQS counts against its limit.
    pub(super) fn size(&self) -> usize {
        self.name.len() + self.data_type.len() + self.value.bytes().len()
    }

    pub(super) fn into_wire(self) -> Result<(String, MessageAttributeValue), BuildError> {
        let typed = MessageAttributeValue::builder().data_type(self.data_type);
        let filled = match self.value {
            Value::Text(text) => typed.string_value(text),
            Value::Bytes(bytes) => typed.binary_value(Blob::new(bytes)),
        };
        Ok((self.name, filled.build()?))
    }
}

impl Value {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_sqs_delivers_is_read() {
        let json = r#"{
            "size": {"stringValue": "1.50", "dataType": "Number.float", "stringListValues": [], "binaryListValues": []},
            "tenant": {"stringValue": "bl\u00fcu\n", "dataType": "String"},
            "thumb": {"binaryValue": "AAH/", "dataType": "Binary.png"}
        }"#;
        let attached = Attached::read(Some(json)).unwrap();
        let expected = [
            ("size", "Number.float", Value::Text("1.50".into())),
            ("tenant", "String", Value::Text("blüu\n".into())),
            ("thumb", "Binary.png", Value::Bytes(vec![0, 1, 255])),
        ];
        for (found, (name, data_type, value)) in attached.attributes.iter().zip(expected) {
            assert_eq!((&*found.name, &*found.data_type), (name, data_type));
            assert_eq!(found.value, value);
        }
        assert_eq!(
            (attached.attributes.len(), attached.unsendable.len()),
            (3, 0)
        );
        assert_eq!(attached.attributes[2].size(), "thumbBinary.png".len() + 3);
    }

    #[test]
    fn what_sqs_would_not_take_is_named_and_spares_its_neighbours() {
        let json = r#"{
            "a-list": {"stringListValues": ["x"], "dataType": "String"},
            "b-empty": {"stringValue": "", "dataType": "String"},
            "c-no-base64": {"binaryValue": "?", "dataType": "Binary"},
            "d-null": null,
            "e-untyped": {"stringValue": "x"},
            "f-sound": {"stringValue": "x", "dataType": "String"}
        }"#;
        let attached = Attached::read(Some(json)).unwrap();
        let unsendable = ["a-list", "b-empty", "c-no-base64", "d-null", "e-untyped"];
        assert_eq!(attached.unsendable, unsendable);
        let sound = Attribute {
            name: "f-sound".into(),
            data_type: "String".into(),
            value: Value::Text("x".into()),
        };
        assert_eq!(attached.attributes, [sound]);
    }

    #[test]
    fn no_map_is_no_attributes_and_what_is_no_map_is_an_error() {
        for nothing in [None, Some("null"), Some("{}")] {
            assert_eq!(Attached::read(nothing), Ok(Attached::default()));
        }
        assert_eq!(Attached::read(Some("[1]")), Err(Unreadable));
    }
}
