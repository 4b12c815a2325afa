//! A message, and SQS's rules for it.

/// Bytes that one message may have: body, and name, type and value of each attribute.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Attributes that one message may have. SQS refuses the whole message at the eleventh.
pub(crate) const MAX_ATTRIBUTES: usize = 10;

/// Characters that an attribute's name may have.
const MAX_ATTRIBUTE_NAME: usize = 256;

/// Beginnings of names that AWS keeps for itself, in any case.
const RESERVED_PREFIXES: [&str; 2] = ["aws.", "amazon."];

/// A message to send: a body, and attributes of the caller's own.
#[derive(Clone)]
pub struct Message {
    pub(crate) body: String,
    pub(crate) attributes: Vec<Attribute>,
}

/// A value that SQS carries beside the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// Text.
    String(String),
    /// A number in decimal notation.
    Number(String),
    /// Bytes.
    Binary(Vec<u8>),
}

/// A message that SQS would refuse, so that it is not sent.
///
/// No variant shows the body or a value: either may be personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// SQS takes no message without a body.
    #[error("the body is empty")]
    EmptyBody,
    /// SQS takes the characters of XML 1.0 only.
    #[error(
        "the body has the character U+{character:04X} at byte {offset}, which SQS does not accept"
    )]
    BodyCharacter {
        /// The character's code point.
        character: u32,
        /// Its place in the body.
        offset: usize,
    },
    /// Body and attributes together are over SQS's limit.
    #[error(
        "body and attributes have {size} bytes, more than the {MAX_MESSAGE_BYTES} that SQS accepts"
    )]
    TooLarge {
        /// What the message weighs.
        size: usize,
    },
    /// More attributes than SQS takes.
    #[error("{count} attributes, more than the {MAX_ATTRIBUTES} that SQS accepts")]
    TooManyAttributes {
        /// How many there are.
        count: usize,
    },
    /// An attribute whose name SQS refuses.
    #[error("the attribute name {name:?} is not accepted by SQS: {rule}")]
    AttributeName {
        /// The name.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// Two attributes of one name.
    #[error("the attribute {name:?} is there twice")]
    DuplicateAttribute {
        /// The name.
        name: String,
    },
    /// An attribute whose value SQS refuses.
    #[error("the value of the attribute {name:?} is not accepted by SQS: {rule}")]
    AttributeValue {
        /// The attribute's name.
        name: String,
        /// The rule that its value breaks.
        rule: &'static str,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) value: AttributeValue,
}

impl Message {
    /// A message with this body and no attributes.
    pub fn new(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            attributes: Vec::new(),
        }
    }

    /// Adds an attribute of the caller's own. These have precedence over the trace context when
    /// SQS's ten slots are short.
    ///
    /// A `traceparent` put in here is a context that the caller made: it is sent as it is, and the
    /// sender adds no other.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: AttributeValue) -> Self {
        self.attributes.push(Attribute {
            name: name.into(),
            value,
        });
        self
    }

    /// Bytes that SQS counts against its limit.
    pub(crate) fn size(&self) -> usize {
        let attributes: usize = self.attributes.iter().map(Attribute::size).sum();
        self.body.len() + attributes
    }

    /// Whether SQS would take this message.
    pub(crate) fn check(&self) -> Result<(), InvalidMessage> {
        if self.body.is_empty() {
            return Err(InvalidMessage::EmptyBody);
        }
        if let Some((offset, character)) = refused_character(&self.body) {
            return Err(InvalidMessage::BodyCharacter {
                character: character.into(),
                offset,
            });
        }
        if self.attributes.len() > MAX_ATTRIBUTES {
            return Err(InvalidMessage::TooManyAttributes {
                count: self.attributes.len(),
            });
        }
        for (index, attribute) in self.attributes.iter().enumerate() {
            attribute.check()?;
            if self.attributes[..index]
                .iter()
                .any(|other| other.name == attribute.name)
            {
                return Err(InvalidMessage::DuplicateAttribute {
                    name: attribute.name.clone(),
                });
            }
        }
        let size = self.size();
        if size > MAX_MESSAGE_BYTES {
            return Err(InvalidMessage::TooLarge { size });
        }
        Ok(())
    }
}

/// The body is left out: it may be personal data, and `Debug` output ends in logs.
impl std::fmt::Debug for Message {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self
            .attributes
            .iter()
            .map(|attribute| attribute.name.as_str())
            .collect();
        formatter
            .debug_struct("Message")
            .field("body_bytes", &self.body.len())
            .field("attributes", &names)
            .finish()
    }
}

impl Attribute {
    /// Bytes that SQS counts against its limit: name, type and value.
    pub(crate) fn size(&self) -> usize {
        self.name.len() + self.value.data_type().len() + self.value.bytes().len()
    }

    /// Whether SQS would take this attribute.
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
}

impl AttributeValue {
    /// What SQS calls this type.
    pub(crate) fn data_type(&self) -> &'static str {
        match self {
            Self::String(_) => "String",
            Self::Number(_) => "Number",
            Self::Binary(_) => "Binary",
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::String(text) | Self::Number(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    fn broken_rule(&self) -> Option<&'static str> {
        match self {
            value if value.bytes().is_empty() => Some("it is empty"),
            Self::String(text) if refused_character(text).is_some() => {
                Some("it has a control character")
            }
            Self::Number(text) if !is_number(text) => Some("it is not a decimal number"),
            _ => None,
        }
    }
}

/// Returns `true` if SQS accepts a string attribute with this name and value.
pub(crate) fn accepts_text(name: &str, value: &str) -> bool {
    broken_name_rule(name).is_none() && !value.is_empty() && refused_character(value).is_none()
}

/// The first character that SQS refuses in a text: anything that XML 1.0 cannot carry.
fn refused_character(text: &str) -> Option<(usize, char)> {
    text.char_indices().find(|(_, character)| {
        !matches!(character, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
    })
}

fn broken_name_rule(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || name.len() > MAX_ATTRIBUTE_NAME {
        Some("it must have 1 to 256 characters")
    } else if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    {
        Some("it may have letters, digits, `_`, `-` and `.` only")
    } else if RESERVED_PREFIXES
        .iter()
        .any(|prefix| lower.starts_with(prefix))
    {
        Some("names that start with `AWS.` or `Amazon.` are reserved")
    } else if name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        Some("a period may not come first, last or twice in a row")
    } else {
        None
    }
}

/// Whether a text is a number to SQS. Rust's floating-point grammar has the same forms and three
/// words that are none.
fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite) && text.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
