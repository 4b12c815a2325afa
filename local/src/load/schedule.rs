//! Schedule of an open loop: the intended start of every request, which does not depend on the
//! responses.

use std::time::Duration;

/// Bursts of the profile `blackfriday`, each after a quiet time.
const BURSTS: u32 = 3;
/// Rate of a burst relative to the quiet rate: enough to exceed what a service is sized for on
/// ordinary days.
const BURST_FACTOR: f64 = 5.0;
/// Share of a burst in the time from one burst to the next. The quiet time is longer, so that a
/// queue can empty before the next burst.
const BURST_SHARE: f64 = 0.25;
/// Tolerance for rounding errors in a number of requests. Without it, a rate of 7/60 would send an
/// eighth request in a minute.
const TOLERANCE: f64 = 1e-6;

/// Shape of the load over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// A constant rate.
    Steady,
    /// A rate that grows from zero.
    Ramp,
    /// A constant rate with bursts.
    BlackFriday,
    /// A constant rate for a long time, with a comparison of the beginning and the end.
    Soak,
}

/// A time in which the rate changes linearly.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Phase {
    duration: f64,
    start_rate: f64,
    end_rate: f64,
}

/// Intended starts of all requests of a run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    phases: Vec<Phase>,
}

impl Profile {
    pub(crate) const ALL: [Self; 4] = [Self::Steady, Self::Ramp, Self::BlackFriday, Self::Soak];

    /// Returns the profile with this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Returns the name on the command line and in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Ramp => "ramp",
            Self::BlackFriday => "blackfriday",
            Self::Soak => "soak",
        }
    }
}

impl Phase {
    fn requests(&self) -> f64 {
        (self.start_rate + self.end_rate) / 2.0 * self.duration
    }

    /// Returns the time after which `requests` requests have started.
    fn time_after(&self, requests: f64) -> f64 {
        // The positive root of `start_rate * t + slope / 2 * t² = requests`, in the form that does
        // not subtract two similar numbers.
        let slope = (self.end_rate - self.start_rate) / self.duration;
        let root = (self.start_rate * self.start_rate + 2.0 * slope * requests).max(0.0);
        let divisor = self.start_rate + root.sqrt();
        if divisor > 0.0 {
            2.0 * requests / divisor
        } else {
            0.0
        }
    }
}

impl Schedule {
    /// Returns the schedule of a profile. `rate` is the number of requests per second: the constant
    /// rate, the rate at the end of a ramp, or the rate between bursts.
    pub(crate) fn new(profile: Profile, rate: f64, duration: Duration) -> Self {
        let duration = duration.as_secs_f64();
        let phase = |duration, start_rate, end_rate| Phase {
            duration,
            start_rate,
            end_rate,
        };
        let phases = match profile {
            Profile::Steady | Profile::Soak => vec![phase(duration, rate, rate)],
            Profile::Ramp => vec![phase(duration, 0.0, rate)],
            Profile::BlackFriday => {
                let cycle = duration / f64::from(BURSTS);
                let burst = rate * BURST_FACTOR;
                let cycle = [
                    phase(cycle * (1.0 - BURST_SHARE), rate, rate),
                    phase(cycle * BURST_SHARE, burst, burst),
                ];
                cycle.repeat(BURSTS as usize)
            }
        };
        Self { phases }
    }

    /// Returns the number of requests.
    pub(crate) fn requests(&self) -> u64 {
        let requests = self.phases.iter().map(Phase::requests).sum::<f64>();
        (requests - TOLERANCE).ceil() as u64
    }

    /// Returns the intended start of a request relative to the start of the run, or `None` if the
    /// run ends before.
    pub(crate) fn intended_start(&self, request: u64) -> Option<Duration> {
        // Exact up to 2^53 requests.
        let mut remaining = request as f64;
        let mut begin = 0.0;
        for phase in &self.phases {
            let requests = phase.requests();
            if remaining < requests - TOLERANCE {
                return Some(Duration::from_secs_f64(begin + phase.time_after(remaining)));
            }
            remaining -= requests;
            begin += phase.duration;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn starts(schedule: &Schedule) -> Vec<f64> {
        let starts = (0..).map_while(|request| schedule.intended_start(request));
        starts.map(|start| start.as_secs_f64()).collect()
    }

    #[test]
    fn a_steady_rate_has_equal_intervals_from_the_start() {
        let schedule = Schedule::new(Profile::Steady, 4.0, Duration::from_secs(2));
        let expected = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75];
        assert_eq!(starts(&schedule), expected);
    }

    #[test]
    fn a_ramp_starts_a_quarter_of_its_requests_in_the_first_half() {
        let schedule = Schedule::new(Profile::Ramp, 100.0, Duration::from_secs(10));
        let starts = starts(&schedule);
        assert_eq!(starts.len(), 500);
        let early = starts.iter().filter(|start| **start < 5.0).count();
        assert_eq!(early, 125);
    }

    #[test]
    fn bursts_are_five_times_as_fast_as_the_time_between_them() {
        let schedule = Schedule::new(Profile::BlackFriday, 10.0, Duration::from_secs(12));
        let starts = starts(&schedule);
        let in_second = |second: f64| {
            let during = |start: &&f64| (second..second + 1.0).contains(*start);
            starts.iter().filter(during).count()
        };
        let rates: Vec<_> = (0..12).map(|second| in_second(f64::from(second))).collect();
        assert_eq!(rates, [10, 10, 10, 50, 10, 10, 10, 50, 10, 10, 10, 50]);
    }

    #[test]
    fn the_number_of_requests_is_that_of_their_starts() {
        for per_minute in 1..200u32 {
            for profile in Profile::ALL {
                let rate = f64::from(per_minute) / 60.0;
                let schedule = Schedule::new(profile, rate, Duration::from_secs(60));
                let count = starts(&schedule).len() as u64;
                assert_eq!(schedule.requests(), count, "{profile:?} {per_minute}");
                if profile == Profile::Steady {
                    assert_eq!(count, u64::from(per_minute));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn starts_are_in_order_and_within_the_run(
            rate in 0.1..5_000.0f64,
            milliseconds in 1u64..3_000,
            profile in prop_oneof![
                Just(Profile::Steady), Just(Profile::Ramp), Just(Profile::BlackFriday)
            ],
        ) {
            let duration = Duration::from_millis(milliseconds);
            let starts = starts(&Schedule::new(profile, rate, duration));
            prop_assert!(starts.windows(2).all(|pair| pair[0] <= pair[1]));
            let end = duration.as_secs_f64() + 1e-6;
            prop_assert!(starts.iter().all(|start| *start <= end));
        }
    }
}
