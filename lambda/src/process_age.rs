//! The age of the process.

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

/// Position of the start time among the fields of `/proc/self/stat`, counted from the parenthesis
/// after the name of the program (proc_pid_stat(5), field 22).
const START_TIME: usize = 20;
/// Milliseconds in a clock tick, the unit of the start time. Both architectures of Lambda have the
/// same.
const TICK_MILLIS: u64 = 10;
/// Size of the buffer for either file. The first 22 fields of `/proc/self/stat` fit: a name of at
/// most 15 bytes, and numbers of at most 20 digits.
const CAPACITY: usize = 512;

/// Returns the time since the start of the process, exact to a tick, or `None` if `/proc` does not
/// contain it.
pub(crate) fn process_age() -> Option<Duration> {
    let (mut stat, mut uptime) = ([0; CAPACITY], [0; CAPACITY]);
    age(
        read("/proc/self/stat", &mut stat)?,
        read("/proc/uptime", &mut uptime)?,
    )
}

/// Reads the start of a file. The kernel returns it with one call.
fn read<'a>(path: &str, buffer: &'a mut [u8; CAPACITY]) -> Option<&'a [u8]> {
    let length = File::open(path).ok()?.read(buffer).ok()?;
    buffer.get(..length)
}

fn age(stat: &[u8], uptime: &[u8]) -> Option<Duration> {
    // The name is in parentheses and may itself contain spaces and parentheses.
    let fields = stat.rsplit(|byte| *byte == b')').next()?;
    let start = number(fields.split(|byte| *byte == b' ').nth(START_TIME)?)?;
    // The file has seconds with two decimal places, so the digits are a number of ticks.
    let now = number(uptime.split(|byte| *byte == b' ').next()?)?;
    // Emulated kernels report a start time of 0.
    let ticks = now.checked_sub(start).filter(|_| start > 0)?;
    Some(Duration::from_millis(ticks.checked_mul(TICK_MILLIS)?))
}

/// Returns the number that the digits spell, without regard to a decimal point.
fn number(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |number, byte| match byte {
        b'.' => Some(number),
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a) b) R 1 7 7 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 703788 3133440 360 18446744073709551615 1 1";

    fn age_at(uptime: &str) -> Option<Duration> {
        age(STAT.as_bytes(), uptime.as_bytes())
    }

    #[test]
    fn the_age_is_the_uptime_minus_the_start_time() {
        assert_eq!(age_at("7037.93 3006.22\n"), Some(Duration::from_millis(50)));
        assert_eq!(age_at("7037.88 3006.22\n"), Some(Duration::ZERO));
        for invalid in ["", "7037.87 3006.22\n", "x.93 3006.22\n", "-1.00 0.00\n"] {
            assert_eq!(age_at(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn an_unknown_start_time_is_not_an_age() {
        for invalid in ["", "7 (a) R 1 7", &STAT.replace("703788", "0")] {
            let age = age(invalid.as_bytes(), b"7037.93 3006.22\n");
            assert_eq!(age, None, "{invalid}");
        }
    }

    #[test]
    fn this_process_is_as_old_as_its_clock_says() {
        let tick = Duration::from_millis(TICK_MILLIS);
        let began = std::time::Instant::now();
        let first = process_age().unwrap();
        // Busy for a few ticks, because the age does not change between two of them.
        while process_age().unwrap() <= first + 3 * tick {
            assert!(began.elapsed() < Duration::from_secs(10), "{first:?}");
        }
        assert!(began.elapsed() >= 2 * tick);
    }
}
