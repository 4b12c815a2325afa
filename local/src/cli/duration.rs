//! Durations on the command line: `500ms`, `3s`, `2m`, or a number of seconds.

use std::time::Duration;

/// Units and their milliseconds. A unit must precede any other unit that is a suffix of it.
const UNITS: [(&str, u64); 3] = [("ms", 1), ("s", 1_000), ("m", 60_000)];

/// Error in parsing a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an integer with ms, s or m, such as 500ms, 3s or 2m; a number without a unit means seconds"
)]
pub(super) struct InvalidDuration;

/// Parses a duration; a number without a unit means seconds.
pub(super) fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let (digits, milliseconds) = UNITS
        .iter()
        .find_map(|(unit, milliseconds)| Some((text.strip_suffix(unit)?, *milliseconds)))
        .unwrap_or((text, 1_000));
    let count = digits
        .trim_end()
        .parse::<u64>()
        .map_err(|_| InvalidDuration)?;
    count
        .checked_mul(milliseconds)
        .map(Duration::from_millis)
        .ok_or(InvalidDuration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_optional_and_default_to_seconds() {
        let read = ["500ms", "3s", "2m", "4", "10 s"].map(|text| parse(text).unwrap().as_millis());
        assert_eq!(read, [500, 3_000, 120_000, 4_000, 10_000]);
    }

    #[test]
    fn invalid_durations_are_rejected() {
        for text in [
            "",
            "s",
            "-1s",
            "1h",
            "1.5s",
            "99999999999999999999",
            "18446744073709551615m",
        ] {
            assert_eq!(parse(text), Err(InvalidDuration), "{text:?}");
        }
    }
}
