//! A message and its attributes.

use std::collections::BTreeMap;

use super::clock::Timestamp;

/// Value of a message attribute. SQS checks numbers but stores them as text, so that their spelling
/// is preserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttributeValue {
    Text(String),
    Binary(Vec<u8>),
}

impl AttributeValue {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// Data type and value of a message attribute. The data type may have a label, as in `Number.int`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypedAttribute {
    pub(crate) data_type: String,
    pub(crate) value: AttributeValue,
}

/// Attributes sorted by name, as the digest requires.
pub(crate) type MessageAttributes = BTreeMap<String, TypedAttribute>;

/// The part of a message that does not change after it was sent. It does not implement `Debug`, so
/// that no body is logged by accident.
pub(crate) struct MessageContent {
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) body_md5: String,
    pub(crate) attributes: MessageAttributes,
    pub(crate) trace_header: Option<String>,
    pub(crate) group_id: Option<String>,
    pub(crate) sent_at: Timestamp,
}

impl MessageContent {
    /// Returns the memory that the message occupies, without bookkeeping.
    pub(crate) fn bytes(&self) -> usize {
        let system = self.trace_header.as_ref().map_or(0, String::len)
            + self.group_id.as_ref().map_or(0, String::len);
        size(&self.body, &self.attributes) + system
    }
}

/// Returns the size to which AWS's limits apply: the body, and the name, type and value of each
/// message attribute. System attributes do not count.
pub(crate) fn size(body: &str, attributes: &MessageAttributes) -> usize {
    let counted = attributes
        .iter()
        .map(|(name, attribute)| name.len() + attribute.data_type.len() + attribute.value.len());
    body.len() + counted.sum::<usize>()
}
