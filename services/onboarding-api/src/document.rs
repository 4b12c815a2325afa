//! JSON documents of requests, which keep the names of duplicate keys.
//!
//! `serde_json` keeps the last of two equal keys, other parsers the first. A proxy or a filter in
//! front of the service could therefore check another value than the one that is sent.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A JSON document, as far as the service reads it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Document {
    Object(Fields),
    Array(Vec<Document>),
    /// A string, a number, `true`, `false` or `null`.
    Scalar,
}

/// The fields of a JSON object.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Fields {
    pub(crate) values: Map<String, Value>,
    /// Names that occur more than once, each of them once.
    pub(crate) duplicates: Vec<String>,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut fields = Fields::default();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if !fields.values.contains_key(&name) {
                fields.values.insert(name, value);
            } else if !fields.duplicates.contains(&name) {
                fields.duplicates.push(name);
            }
        }
        Ok(Document::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Document, A::Error> {
        let mut documents = Vec::new();
        while let Some(document) = sequence.next_element()? {
            documents.push(document);
        }
        Ok(Document::Array(documents))
    }

    fn visit_str<E>(self, _: &str) -> Result<Document, E> {
        Ok(Document::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Document, E> {
        Ok(Document::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Document, E> {
        Ok(Document::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Document, E> {
        Ok(Document::Scalar)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Document, E> {
        Ok(Document::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document::Scalar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Document {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn duplicate_keys_are_named_once_in_any_spelling() {
        let Document::Object(fields) = parse(r#"{"a":1,"b":2,"\u0061":3,"a":4}"#) else {
            panic!("not an object");
        };
        assert_eq!(fields.duplicates, ["a"]);
        assert_eq!(fields.values["a"], 1);
    }

    #[test]
    fn every_kind_of_document_is_read() {
        for text in ["1", "-1", "1.5", "true", "null", r#""text""#] {
            assert_eq!(parse(text), Document::Scalar, "{text}");
        }
        assert_eq!(
            parse("[1,[]]"),
            Document::Array(vec![Document::Scalar, Document::Array(vec![])])
        );
        assert_eq!(parse("{}"), Document::Object(Fields::default()));
    }
}
