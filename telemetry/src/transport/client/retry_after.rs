//! The header `Retry-After` (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

/// A parsed `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    Delay(Duration),
    /// A time on the peer's clock.
    Date(SystemTime),
}

impl RetryAfter {
    /// Returns `None` if the value is neither a number of seconds nor a date.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim_ascii();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number that overflows is as good as infinite, like the maximum.
            let seconds = text.parse().unwrap_or(u64::MAX);
            return Some(Self::Delay(Duration::from_secs(seconds)));
        }
        httpdate::parse_http_date(text).ok().map(Self::Date)
    }

    /// Returns the time until a retry; zero for a date in the past.
    pub(crate) fn remaining(self, now: SystemTime) -> Duration {
        match self {
            Self::Delay(duration) => duration,
            Self::Date(time) => time.duration_since(now).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(value: &str) -> Option<u64> {
        // 1994-11-06T08:49:00Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_740);
        RetryAfter::parse(value.as_bytes()).map(|after| after.remaining(now).as_secs())
    }

    #[test]
    fn seconds_and_all_three_forms_of_dates_are_parsed() {
        for (value, expected) in [
            ("0", 0),
            (" 120 ", 120),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 37),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 37),
            ("Sun Nov  6 08:49:37 1994", 37),
            ("Sun, 06 Nov 1994 08:48:37 GMT", 0),
            ("99999999999999999999999999", u64::MAX),
        ] {
            assert_eq!(seconds(value), Some(expected), "{value:?}");
        }
    }

    #[test]
    fn other_values_are_ignored() {
        for value in [
            "",
            "soon",
            "-1",
            "+1",
            "1.5",
            "Sun, 06 Nov 1994",
            "1\u{661}",
        ] {
            assert_eq!(seconds(value), None, "{value:?}");
        }
    }
}
