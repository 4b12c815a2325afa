//! Pause after invocations that found no environment.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Pause after the first such invocation; each further one in a row doubles the pause.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Maximum pause.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Availability of an environment for an invocation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Availability {
    Available,
    Unavailable,
}

/// Exponential backoff of the polls.
#[derive(Debug)]
pub(super) struct Backoff {
    pause: Duration,
    not_before: Instant,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            pause: FIRST_PAUSE,
            not_before: Instant::now(),
        }
    }
}

impl Backoff {
    /// Records whether an invocation found an environment.
    pub(super) fn record(&mut self, availability: Availability) {
        match availability {
            Availability::Available => self.pause = FIRST_PAUSE,
            Availability::Unavailable => {
                self.not_before = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(MAX_PAUSE);
            }
        }
    }

    /// Waits until the pause is over. Cancel safe.
    pub(super) async fn wait(&self) {
        sleep_until(self.not_before).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pause_after(backoff: &mut Backoff, availability: Availability) -> u128 {
        let started = Instant::now();
        backoff.record(availability);
        backoff.wait().await;
        started.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_grows_to_its_limit_until_an_environment_is_available() {
        let mut backoff = Backoff::default();
        for expected in [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000] {
            let pause = pause_after(&mut backoff, Availability::Unavailable).await;
            assert_eq!(pause, expected);
        }
        assert_eq!(pause_after(&mut backoff, Availability::Available).await, 0);
        let pause = pause_after(&mut backoff, Availability::Unavailable).await;
        assert_eq!(pause, 200);
    }
}
