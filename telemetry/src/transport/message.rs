//! Messages that a collector sends about requests that it refused, prepared for the log.

use ::http::{HeaderMap, HeaderValue};

/// Maximum length in bytes of a message in a log line: enough for a sentence and an identifier.
pub(super) const MAX_MESSAGE: usize = 200;

/// Returns the beginning of a message as one line without control characters. Returns an empty text
/// if the message repeats a secret value of `sent`, the headers of the request, or the key in such
/// a value.
pub(super) fn printable(message: &str, sent: &HeaderMap) -> String {
    let is_secret = |value: &HeaderValue| {
        let value = String::from_utf8_lossy(value.as_bytes());
        // The key follows the name of a scheme, such as `Bearer`.
        let key = value.rsplit(' ').next().unwrap_or_default();
        !key.is_empty() && message.contains(key)
    };
    let mut sensitive = sent.values().filter(|value| value.is_sensitive());
    if sensitive.any(is_secret) {
        return String::new();
    }
    message[..message.floor_char_boundary(MAX_MESSAGE)].replace(char::is_control, " ")
}
