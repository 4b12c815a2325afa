//! Timestamps in the format of RFC 3339, in UTC with microseconds: `2026-11-21T18:02:24.123456Z`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LENGTH: usize = 27;
const SECONDS_PER_DAY: u64 = 86_400;
/// Length of the cycle after which the Gregorian calendar repeats.
const YEARS_PER_CYCLE: u64 = 400;
const DAYS_PER_CYCLE: u64 = 146_097;
/// Days from 1 March of the year 0 to 1 January 1970. In years that begin in March, the leap day is
/// the last day, where it does not shift any month.
const DAYS_BEFORE_1970: u64 = 719_468;
/// The last second of the year 9999: a year has four digits in RFC 3339.
const LAST_SECOND: u64 = 253_402_300_799;

/// Writes a timestamp. A time before 1970 is written as the start of 1970, and one after 9999 as
/// its last second.
pub(super) fn write(out: &mut Vec<u8>, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = since.min(Duration::new(LAST_SECOND, 999_999_999));
    let (days, second) = (
        since.as_secs() / SECONDS_PER_DAY,
        since.as_secs() % SECONDS_PER_DAY,
    );
    let (year, month, day) = date(days);
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    const { assert!(b"0000-00-00T00:00:00.000000Z".len() == LENGTH) };
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day);
    digits(&mut text[11..13], second / 3600);
    digits(&mut text[14..16], second / 60 % 60);
    digits(&mut text[17..19], second % 60);
    digits(&mut text[20..26], u64::from(since.subsec_micros()));
    out.extend_from_slice(&text);
}

/// Returns year, month and day of a day counted from 1 January 1970.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_BEFORE_1970;
    let (cycle, day) = (days / DAYS_PER_CYCLE, days % DAYS_PER_CYCLE);
    // The preceding leap days are subtracted: one in 4 years, but not in 100 years, and again one
    // in 400 years.
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Starting with March, the lengths of the months repeat every five months, or 153 days.
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, year_offset) = match month {
        0..10 => (month + 3, 0),
        _ => (month - 9, 1),
    };
    (
        cycle * YEARS_PER_CYCLE + year + year_offset,
        month,
        day_of_month,
    )
}

/// Fills the slice with the digits of a number, with leading zeros.
fn digits(out: &mut [u8], mut number: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tracing_subscriber::fmt::format::Writer;
    use tracing_subscriber::fmt::time::FormatTime as _;

    use super::*;

    fn timestamp(time: SystemTime) -> String {
        let mut out = Vec::new();
        write(&mut out, time);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn leap_days_and_the_first_and_last_timestamps_are_correct() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
            (LAST_SECOND, "9999-12-31T23:59:59.000000Z"),
            (LAST_SECOND + 1, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(
                timestamp(UNIX_EPOCH + Duration::from_secs(seconds)),
                expected
            );
        }
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(timestamp(before), "1970-01-01T00:00:00.000000Z");
    }

    /// Compares only the current time, because `tracing-subscriber` cannot write any other. The
    /// timestamps of both can be compared as text.
    #[test]
    fn the_current_time_is_written_as_by_tracing_subscriber() {
        let mut theirs = String::new();
        let clock = tracing_subscriber::fmt::time::SystemTime;
        let before = timestamp(SystemTime::now());
        clock.format_time(&mut Writer::new(&mut theirs)).unwrap();
        let after = timestamp(SystemTime::now());
        assert!(
            before <= theirs && theirs <= after,
            "{before} {theirs} {after}"
        );
    }

    proptest! {
        #[test]
        fn every_date_follows_that_of_the_previous_day(day in 1u64..LAST_SECOND / SECONDS_PER_DAY) {
            let (before, after) = (date(day - 1), date(day));
            let (year, month, last) = before;
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let days_in_month = match month {
                2 if is_leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let expected = match (month, last) {
                (12, 31) => (year + 1, 1, 1),
                (_, last) if last == days_in_month => (year, month + 1, 1),
                (_, last) => (year, month, last + 1),
            };
            prop_assert_eq!(after, expected);
        }
    }
}
