//! A message as the core holds it.

use std::collections::BTreeMap;

use super::clock::Timestamp;

/// The value of a message attribute. Numbers are text to SQS: it checks them and keeps the
/// spelling.
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

/// A message attribute; its data type may carry a label, as in `Number.int`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageAttribute {
    pub(crate) data_type: String,
    pub(crate) value: AttributeValue,
}

/// MessageAttributes in the order of their names, which the digest needs.
pub(crate) type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// What never changes about a message from the moment it was sent. No `Debug`: a body must not
/// reach a log by accident.
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
    /// What the message weighs in memory, without bookkeeping.
    pub(crate) fn bytes(&self) -> usize {
        let system = self.trace_header.as_ref().map_or(0, String::len)
            + self.group_id.as_ref().map_or(0, String::len);
        size(&self.body, &self.attributes) + system
    }
}

/// The size that AWS's limits are about: body, and name, type and value of every message attribute;
/// system attributes are free.
pub(crate) fn size(body: &str, attributes: &MessageAttributes) -> usize {
    let counted = attributes
        .iter()
        .map(|(name, attribute)| name.len() + attribute.data_type.len() + attribute.value.len());
    body.len() + counted.sum::<usize>()
}
