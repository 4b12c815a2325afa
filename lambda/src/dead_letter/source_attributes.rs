//! The message attributes of a record, read from the event.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use baton_sqs::{Attribute, AttributeValue};
use serde::Deserialize;
use serde_json::Value;

use crate::dead_letter::DeadLetterError;

/// Prefixes of the data types that are not text. A custom label may follow, as in `Binary.png`.
const BINARY: &str = "Binary";
const NUMBER: &str = "Number";

/// The attributes that the sender of the message added.
#[derive(Debug, Default)]
pub(super) struct SourceAttributes {
    pub(super) attributes: Vec<Attribute>,
    /// Names of attributes that SQS would reject: lists, which SQS does not implement, and
    /// attributes without a readable value.
    pub(super) unsendable: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAttribute {
    string_value: Option<String>,
    binary_value: Option<String>,
    data_type: Option<String>,
}

impl SourceAttributes {
    /// Reads `messageAttributes`. An attribute that cannot be read does not affect the others.
    ///
    /// # Errors
    ///
    /// Returns an error if the JSON is not an object of attributes.
    pub(super) fn read(json: Option<&str>) -> Result<Self, DeadLetterError> {
        let map: Option<BTreeMap<String, Value>> = serde_json::from_str(json.unwrap_or("null"))
            .map_err(|_| {
                DeadLetterError::InvalidRecord("its messageAttributes are not readable")
            })?;
        let mut source = Self::default();
        for (name, value) in map.unwrap_or_default() {
            match read_attribute(&name, value) {
                Some(attribute) => source.attributes.push(attribute),
                None => source.unsendable.push(name),
            }
        }
        Ok(source)
    }
}

fn read_attribute(name: &str, value: Value) -> Option<Attribute> {
    let RawAttribute {
        string_value,
        binary_value,
        data_type,
    } = serde_json::from_value(value).ok()?;
    let data_type = data_type.filter(|data_type| !data_type.is_empty())?;
    let value = if data_type.starts_with(BINARY) {
        AttributeValue::Binary(BASE64_STANDARD.decode(binary_value?).ok()?)
    } else if data_type.starts_with(NUMBER) {
        AttributeValue::Number(string_value?)
    } else {
        AttributeValue::String(string_value?)
    };
    (!value.is_empty()).then(|| Attribute::new(name, value).with_data_type(data_type))
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
        let source = SourceAttributes::read(Some(json)).unwrap();
        let expected = [
            (
                "size",
                "Number.float",
                AttributeValue::Number("1.50".into()),
            ),
            ("tenant", "String", AttributeValue::String("blüu\n".into())),
            (
                "thumb",
                "Binary.png",
                AttributeValue::Binary(vec![0, 1, 255]),
            ),
        ];
        let expected = expected
            .map(|(name, data_type, value)| Attribute::new(name, value).with_data_type(data_type));
        assert_eq!(source.attributes, expected);
        assert_eq!(source.unsendable, [""; 0]);
        assert_eq!(source.attributes[2].size(), "thumbBinary.png".len() + 3);
    }

    #[test]
    fn attributes_that_sqs_would_reject_are_named_and_do_not_affect_the_others() {
        let json = r#"{
            "a-list": {"stringListValues": ["x"], "dataType": "String"},
            "b-empty": {"stringValue": "", "dataType": "String"},
            "c-no-base64": {"binaryValue": "?", "dataType": "Binary"},
            "d-null": null,
            "e-untyped": {"stringValue": "x"},
            "f-sound": {"stringValue": "x", "dataType": "String"}
        }"#;
        let source = SourceAttributes::read(Some(json)).unwrap();
        let unsendable = ["a-list", "b-empty", "c-no-base64", "d-null", "e-untyped"];
        assert_eq!(source.unsendable, unsendable);
        let sound = Attribute::new("f-sound", AttributeValue::String("x".into()));
        assert_eq!(source.attributes, [sound]);
    }

    #[test]
    fn missing_attributes_are_none_and_other_json_is_an_error() {
        for nothing in [None, Some("null"), Some("{}")] {
            let source = SourceAttributes::read(nothing).unwrap();
            assert!(source.attributes.is_empty() && source.unsendable.is_empty());
        }
        let error = SourceAttributes::read(Some("[1]")).unwrap_err();
        assert!(error.to_string().contains("messageAttributes"), "{error}");
    }
}
