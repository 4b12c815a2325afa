//! When a peer wants to be asked again (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

/// `Retry-After`, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    Delay(Duration),
    /// By the peer's clock.
    Date(SystemTime),
}

impl RetryAfter {
    /// `None` for what is neither a number of seconds nor a date: it says nothing.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim_ascii();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // So many digits that they are no number of ours mean "never" as well as the largest
            // one does.
            let seconds = text.parse().unwrap_or(u64::MAX);
            return Some(Self::Delay(Duration::from_secs(seconds)));
        }
        httpdate::parse_http_date(text).ok().map(Self::Date)
    }

    /// What is left of it, none if it is over.
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
    fn seconds_and_dates_of_all_three_forms_are_read() {
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
    fn what_is_neither_says_nothing() {
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
