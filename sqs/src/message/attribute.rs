//! A message attribute, and SQS's rules for its name and value.

use std::borrow::Cow;

use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;

use super::{InvalidMessage, find_rejected_character};
use crate::limits::{MAX_ATTRIBUTE_NAME, RESERVED_PREFIXES};

/// A message attribute.
///
/// ```
/// use baton_sqs::{Attribute, AttributeValue, OutgoingMessage};
///
/// let price = AttributeValue::Number("1.5".to_owned());
/// let price = Attribute::new("price", price).with_data_type("Number.eur");
/// let message = OutgoingMessage::new("order 17").with_attributes([price]);
/// assert_eq!(message.check(), Ok(()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    pub(crate) name: String,
    pub(crate) value: AttributeValue,
    data_type: Cow<'static, str>,
}

/// The value of a message attribute.
///
/// ```
/// use baton_sqs::{Attribute, AttributeValue, OutgoingMessage};
///
/// let tenant = Attribute::new("tenant", AttributeValue::String("blue".to_owned()));
/// let message = OutgoingMessage::new("order 17").with_attributes([tenant]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// Text.
    String(String),
    /// A number in decimal notation.
    Number(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Attribute {
    /// Creates an attribute. Its data type is that of the value, without a custom label.
    pub fn new(name: impl Into<String>, value: AttributeValue) -> Self {
        Self {
            name: name.into(),
            data_type: value.data_type().into(),
            value,
        }
    }

    /// Creates an attribute of type `String`.
    pub(crate) fn text(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, AttributeValue::String(value.into()))
    }

    /// Sets the data type, such as `Number.eur` or `Binary.png`. The part before the dot must be
    /// the type of the value.
    #[must_use]
    pub fn with_data_type(mut self, data_type: impl Into<String>) -> Self {
        self.data_type = Cow::Owned(data_type.into());
        self
    }

    /// The attribute's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The attribute's value.
    #[must_use]
    pub fn value(&self) -> &AttributeValue {
        &self.value
    }

    /// Size in bytes as SQS counts it: name, type and value.
    #[must_use]
    pub fn size(&self) -> usize {
        self.name.len() + self.data_type.len() + self.value.bytes().len()
    }

    /// Checks the attribute against the rules of SQS.
    pub(crate) fn check(&self) -> Result<(), InvalidMessage> {
        if let Some(rule) = broken_name_rule(&self.name) {
            return Err(InvalidMessage::AttributeName {
                name: self.name.clone(),
                rule,
            });
        }
        if let Some(rule) = self.value.broken_rule() {
            return Err(InvalidMessage::AttributeValue {
                name: self.name.clone(),
                rule,
            });
        }
        Ok(())
    }

    /// Returns the name, and the value in the SDK's type.
    pub(crate) fn into_sdk(self) -> Result<(String, MessageAttributeValue), BuildError> {
        let typed = MessageAttributeValue::builder().data_type(self.data_type);
        let filled = match self.value {
            AttributeValue::String(text) | AttributeValue::Number(text) => typed.string_value(text),
            AttributeValue::Binary(bytes) => typed.binary_value(Blob::new(bytes)),
        };
        Ok((self.name, filled.build()?))
    }
}

impl AttributeValue {
    /// SQS's name of this type.
    fn data_type(&self) -> &'static str {
        match self {
            Self::String(_) => "String",
            Self::Number(_) => "Number",
            Self::Binary(_) => "Binary",
        }
    }

    /// Returns `true` if the value has no bytes. SQS rejects an empty value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::String(text) | Self::Number(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    fn broken_rule(&self) -> Option<&'static str> {
        match self {
            value if value.is_empty() => Some("it is empty"),
            Self::String(text) if find_rejected_character(text).is_some() => {
                Some("it has a control character")
            }
            Self::Number(text) if !is_number(text) => Some("it is not a decimal number"),
            _ => None,
        }
    }
}

fn broken_name_rule(name: &str) -> Option<&'static str> {
    let is_accepted = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > MAX_ATTRIBUTE_NAME {
        Some("it must have 1 to 256 characters")
    } else if !name.bytes().all(is_accepted) {
        Some("it may have letters, digits, `_`, `-` and `.` only")
    } else if RESERVED_PREFIXES
        .iter()
        .any(|prefix| starts_with_ignore_case(name, prefix))
    {
        Some("names that start with `AWS.` or `Amazon.` are reserved")
    } else if name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        Some("a period may not come first, last or twice in a row")
    } else {
        None
    }
}

fn starts_with_ignore_case(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Returns `true` if SQS accepts the text as a number. Rust's floating-point grammar has the same
/// forms, and in addition the words `inf`, `infinity` and `nan`.
fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite) && text.bytes().any(|byte| byte.is_ascii_digit())
}
