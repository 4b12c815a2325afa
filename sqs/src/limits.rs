//! The limits of SQS that apply to every queue.
//!
//! A queue's `MaximumMessageSize` may be lower; `stated_size_limit` stores that limit.

/// Maximum size of one message in bytes: the body, and the name, type and value of each attribute
/// (SQS quotas, since August 2025).
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Maximum number of message attributes (SQS quotas). SQS rejects a message that has more.
pub const MAX_ATTRIBUTES: usize = 10;

/// Maximum size in bytes of all messages of one `SendMessageBatch` together, counted like the size
/// of one message (SQS API reference, `SendMessageBatch`). SQS rejects the whole call otherwise.
#[cfg(feature = "gather")]
pub(crate) const MAX_BATCH_BYTES: usize = MAX_MESSAGE_BYTES;

/// Maximum number of messages in one `SendMessageBatch`.
#[cfg(feature = "gather")]
pub(crate) const MAX_BATCH_MESSAGES: usize = 10;

/// Maximum of `DelaySeconds`.
pub(crate) const MAX_DELAY_SECONDS: i32 = 900;

/// Maximum length of a message group and of a deduplication id.
pub(crate) const MAX_ID_LENGTH: usize = 128;

/// Maximum length of an attribute's name.
pub(crate) const MAX_ATTRIBUTE_NAME: usize = 256;

/// Prefixes of attribute names, in any case, that AWS reserves.
pub(crate) const RESERVED_PREFIXES: [&str; 2] = ["aws.", "amazon."];

/// Returns `true` if SQS accepts the character in a body or in the value of a text attribute: the
/// characters of XML 1.0.
#[must_use]
pub fn is_accepted_character(character: char) -> bool {
    matches!(
        character,
        '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}'
    )
}
