//! Replaces invalid Unicode in JSON.
//!
//! A string that JavaScript cuts in the middle of a character ends in an unpaired surrogate, such
//! as `"\ud83d"`, which a Rust string cannot hold. The Collector replaces it with U+FFFD and keeps
//! the span.

/// Length of an escape such as `\ud83d`.
const ESCAPE_LENGTH: usize = 6;

/// Kind of a UTF-16 surrogate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Surrogate {
    High,
    Low,
}

/// Replaces invalid UTF-8 and escaped unpaired surrogates with U+FFFD.
pub(super) fn replace_invalid(json: &[u8]) -> String {
    let json = String::from_utf8_lossy(json);
    let mut valid = String::with_capacity(json.len());
    let mut rest = &*json;
    while let Some(start) = rest.find('\\') {
        valid.push_str(&rest[..start]);
        rest = &rest[start..];
        let following = rest.get(ESCAPE_LENGTH..);
        let kept = match (surrogate(rest), following.and_then(surrogate)) {
            (Some(Surrogate::High), Some(Surrogate::Low)) => 2 * ESCAPE_LENGTH,
            (Some(_), _) => {
                valid.push(char::REPLACEMENT_CHARACTER);
                rest = &rest[ESCAPE_LENGTH..];
                continue;
            }
            // Keeps the backslash and the character that it escapes, which may be another
            // backslash.
            (None, _) => rest.chars().take(2).map(char::len_utf8).sum(),
        };
        valid.push_str(&rest[..kept]);
        rest = &rest[kept..];
    }
    valid.push_str(rest);
    valid
}

/// Returns the kind of the escaped surrogate at the start of the text.
fn surrogate(text: &str) -> Option<Surrogate> {
    let digits = text.strip_prefix("\\u")?.get(..ESCAPE_LENGTH - 2)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..0xdc00 => Some(Surrogate::High),
        0xdc00..0xe000 => Some(Surrogate::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_invalid_unicode_is_replaced() {
        for (json, expected) in [
            (r#""abc\ud83d""#, "\"abc\u{fffd}\""),
            (r#""\ude00abc""#, "\"\u{fffd}abc\""),
            (r#""\uD83D\ud83d\ude00""#, "\"\u{fffd}\\ud83d\\ude00\""),
            (r#""\ud83d\n\ude00""#, "\"\u{fffd}\\n\u{fffd}\""),
            (
                r#""\\ud83d \u00e9 é \é \u12""#,
                r#""\\ud83d \u00e9 é \é \u12""#,
            ),
            ("\\", "\\"),
        ] {
            assert_eq!(replace_invalid(json.as_bytes()), expected, "{json}");
        }
        assert_eq!(replace_invalid(b"\"\xff\""), "\"\u{fffd}\"");
    }
}
