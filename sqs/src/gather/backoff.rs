//! The pause before a message is sent again.

use std::time::Duration;

/// Pause before the second attempt. SQS usually works again at once after an error of a single
/// call, and this is far longer than a call takes.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Maximum pause. Messages must be sent soon after the end of an outage, and ten of them share a
/// call.
const MAX_PAUSE: Duration = Duration::from_millis(400);

/// Returns the pause after this many attempts. It doubles with each attempt. `jitter`, a random
/// number from 0 to 1, shortens it by up to a half, so that senders whose calls failed at the same
/// time do not try again at the same time.
pub(super) fn pause(attempts: u32, jitter: f64) -> Duration {
    let doublings = attempts.saturating_sub(1);
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    let longest = FIRST_PAUSE.saturating_mul(factor).min(MAX_PAUSE);
    longest.mul_f64(1.0 - jitter / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_maximum() {
        let pauses = [1, 2, 3, 4, 5, 40, u32::MAX].map(|attempts| pause(attempts, 0.0).as_millis());
        assert_eq!(pauses, [50, 100, 200, 400, 400, 400, 400]);
    }

    #[test]
    fn up_to_a_half_is_subtracted() {
        let pauses = [0.0, 0.5, 1.0].map(|jitter| pause(2, jitter).as_millis());
        assert_eq!(pauses, [100, 75, 50]);
    }
}
