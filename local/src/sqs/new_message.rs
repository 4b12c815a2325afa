//! A message that a sender wants to send, checked against AWS's rules before it gets an id.

use super::digest;
use super::error::SqsError;
use super::limits::{self, MAX_ATTRIBUTE_NAME_CHARS, MAX_MESSAGE_ATTRIBUTES};
use super::message::{self, AttributeValue, MessageAttributes, TypedAttribute};

/// The only system attribute that a sender may set.
pub(crate) const TRACE_HEADER: &str = "AWSTraceHeader";

/// Parameters of `SendMessage`, parsed but not yet checked.
pub(crate) struct NewMessage {
    pub(crate) body: String,
    pub(crate) attributes: MessageAttributes,
    pub(crate) system_attributes: MessageAttributes,
    /// X-Ray header of the HTTP request, which is used if the message has none.
    pub(crate) inherited_trace_header: Option<String>,
    /// Delay of this message; `None` for the queue's own delay.
    pub(crate) delay_seconds: Option<i64>,
    pub(crate) group_id: Option<String>,
    pub(crate) deduplication_id: Option<String>,
}

impl NewMessage {
    /// Returns the size to which AWS's limits apply: body and message attributes, without system
    /// attributes.
    pub(crate) fn size(&self) -> usize {
        message::size(&self.body, &self.attributes)
    }

    /// Computes the digests and checks everything except size and delay, which depend on the queue.
    ///
    /// # Errors
    ///
    /// Returns the error for the first rule that the message breaks.
    pub(crate) fn validate(self) -> Result<ValidatedMessage, SqsError> {
        self.check()?;
        let digests = self.digests();
        Ok(ValidatedMessage {
            message: self,
            digests,
        })
    }

    fn check(&self) -> Result<(), SqsError> {
        if self.body.is_empty() {
            return Err(SqsError::MissingParameter("MessageBody".to_owned()));
        }
        if !limits::has_valid_characters(&self.body) {
            return Err(SqsError::InvalidMessageContents);
        }
        check_attributes(&self.attributes)?;
        check_system_attributes(&self.system_attributes)?;
        if let Some(group_id) = &self.group_id {
            limits::check_group_id(group_id)?;
        }
        if let Some(deduplication_id) = &self.deduplication_id {
            let reason = "The request include parameter that is not valid for this queue type.";
            return Err(SqsError::parameter(
                deduplication_id,
                "MessageDeduplicationId",
                reason,
            ));
        }
        Ok(())
    }

    /// Returns the X-Ray header of the message itself, or else that of the HTTP request.
    pub(crate) fn trace_header(&self) -> Option<String> {
        match self
            .system_attributes
            .get(TRACE_HEADER)
            .map(|attribute| &attribute.value)
        {
            Some(AttributeValue::Text(text)) => Some(text.clone()),
            Some(AttributeValue::Binary(_)) | None => self.inherited_trace_header.clone(),
        }
    }

    fn digests(&self) -> MessageDigests {
        let hash = |attributes: &MessageAttributes| {
            digest::hash_attributes(
                attributes
                    .iter()
                    .map(|(name, attribute)| (name.as_str(), attribute)),
            )
        };
        MessageDigests {
            body: digest::hash_body(&self.body),
            attributes: hash(&self.attributes),
            system_attributes: hash(&self.system_attributes),
        }
    }
}

/// A checked message with its digests, which are computed before the account is locked.
pub(crate) struct ValidatedMessage {
    pub(crate) message: NewMessage,
    pub(crate) digests: MessageDigests,
}

/// MD5s of a sent message, which the sender compares with its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageDigests {
    pub(crate) body: String,
    pub(crate) attributes: Option<String>,
    pub(crate) system_attributes: Option<String>,
}

fn check_attributes(attributes: &MessageAttributes) -> Result<(), SqsError> {
    if attributes.len() > MAX_MESSAGE_ATTRIBUTES {
        return Err(SqsError::InvalidParameterValue(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{MAX_MESSAGE_ATTRIBUTES}].",
            attributes.len()
        )));
    }
    attributes.iter().try_for_each(|(name, attribute)| {
        check_name(name)?;
        check_type(name, &attribute.data_type)?;
        check_value("user", name, attribute)
    })
}

fn check_system_attributes(attributes: &MessageAttributes) -> Result<(), SqsError> {
    attributes.iter().try_for_each(|(name, attribute)| {
        if name != TRACE_HEADER {
            let reason = format!("Message system attribute name '{name}' is not valid; only {TRACE_HEADER} can be sent.");
            return Err(SqsError::InvalidParameterValue(reason));
        }
        if attribute.data_type != "String" {
            let reason = format!("Message (system) attribute '{name}' must have the type 'String', not '{}'.", attribute.data_type);
            return Err(SqsError::InvalidParameterValue(reason));
        }
        check_value("system", name, attribute)
    })
}

fn check_name(name: &str) -> Result<(), SqsError> {
    let refuse = |reason: &str| {
        Err(SqsError::InvalidParameterValue(format!(
            "{reason} The name is '{name}'."
        )))
    };
    if name.is_empty() {
        return refuse("Message (user) attribute names must not be empty.");
    }
    if name.chars().count() > MAX_ATTRIBUTE_NAME_CHARS {
        return refuse("Message (user) attribute names must be at most 256 characters long.");
    }
    // AWS documents A-Z, a-z and 0-9, but also accepts letters of other scripts.
    if !name
        .chars()
        .all(|character| character.is_alphanumeric() || matches!(character, '_' | '-' | '.'))
    {
        return refuse(
            "Message (user) attribute names can only contain letters, digits, periods, hyphens and underscores.",
        );
    }
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("aws.") || lower.starts_with("amazon.") {
        return refuse(
            "Message (user) attribute names beginning with 'AWS.' or 'Amazon.' are reserved.",
        );
    }
    if name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        return refuse(
            "Message (user) attribute names must not start or end with a period or have two in a row.",
        );
    }
    Ok(())
}

fn check_type(name: &str, data_type: &str) -> Result<(), SqsError> {
    if data_type.chars().count() > MAX_ATTRIBUTE_NAME_CHARS {
        let reason = format!(
            "The type of message (user) attribute '{name}' must be at most 256 characters long."
        );
        return Err(SqsError::InvalidParameterValue(reason));
    }
    let (base, label) = data_type
        .split_once('.')
        .map_or((data_type, None), |(base, label)| (base, Some(label)));
    if matches!(base, "String" | "Number" | "Binary") && label.is_none_or(|label| !label.is_empty())
    {
        return Ok(());
    }
    Err(SqsError::InvalidParameterValue(format!(
        "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type prefixes: \
         Binary, Number, String."
    )))
}

fn check_value(kind: &str, name: &str, attribute: &TypedAttribute) -> Result<(), SqsError> {
    let refuse = |reason: String| Err(SqsError::InvalidParameterValue(reason));
    let base = attribute.data_type.split('.').next().unwrap_or_default();
    let text = match (&attribute.value, base) {
        (AttributeValue::Binary(bytes), "Binary") if !bytes.is_empty() => return Ok(()),
        (AttributeValue::Text(text), "String" | "Number") if !text.is_empty() => text,
        _ => {
            return refuse(format!(
                "Message ({kind}) attribute '{name}' must contain a non-empty value of type '{base}'."
            ));
        }
    };
    if !limits::has_valid_characters(text) {
        return refuse(format!(
            "Message ({kind}) attribute '{name}' contains characters outside the allowed set."
        ));
    }
    if base == "Number" && !limits::is_number(text) {
        return refuse(format!(
            "Can't cast the value of message ({kind}) attribute '{name}' to a number."
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
