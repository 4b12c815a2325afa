//! The parameters of a profile, from the query of its request.

use std::ops::RangeInclusive;
use std::time::Duration;

use url::form_urlencoded;

/// Default length of a profile, the same as in Go.
const DEFAULT_SECONDS: u32 = 30;

/// Longer profiles only delay other requests for profiles: the samples of five minutes are enough
/// for functions with a thousandth of the CPU time.
const SECONDS: RangeInclusive<u32> = 1..=300;

/// Default number of samples for each second of CPU time, the same as in Go.
const DEFAULT_FREQUENCY: u32 = 100;

/// The kernel checks the timer at each of its own ticks, commonly 250 times a second, so a higher
/// frequency adds few samples. The timer belongs to the process and its signal is pending at most
/// once, so even at 100 Hz, samples are lost if several threads run: see `docs/profiling.md`.
const FREQUENCIES: RangeInclusive<u32> = 1..=100;

/// Parameters of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProfileParameters {
    pub(super) seconds: u32,
    /// Samples for each second of CPU time.
    pub(super) frequency: u32,
}

/// A parameter that is unknown or has an invalid value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidParameter {
    #[error("unknown parameter {0:?}, expected seconds or frequency")]
    Unknown(String),
    #[error("{0} is given more than once, expected one value")]
    Repeated(&'static str),
    #[error("{name} is {value:?}, expected a whole number from {} to {}", expected.start(), expected.end())]
    Value {
        name: &'static str,
        value: String,
        expected: RangeInclusive<u32>,
    },
}

impl ProfileParameters {
    pub(super) fn parse(query: &str) -> Result<Self, InvalidParameter> {
        let (mut seconds, mut frequency) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let (name, parameter, expected) = match &*name {
                "seconds" => ("seconds", &mut seconds, SECONDS),
                "frequency" => ("frequency", &mut frequency, FREQUENCIES),
                _ => return Err(InvalidParameter::Unknown(name.into_owned())),
            };
            let number = parse_number(name, &value, expected)?;
            if parameter.replace(number).is_some() {
                return Err(InvalidParameter::Repeated(name));
            }
        }
        Ok(Self {
            seconds: seconds.unwrap_or(DEFAULT_SECONDS),
            frequency: frequency.unwrap_or(DEFAULT_FREQUENCY),
        })
    }

    pub(super) fn duration(self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

fn parse_number(
    name: &'static str,
    value: &str,
    expected: RangeInclusive<u32>,
) -> Result<u32, InvalidParameter> {
    let number = value
        .parse()
        .ok()
        .filter(|number| expected.contains(number));
    number.ok_or_else(|| InvalidParameter::Value {
        name,
        value: value.to_owned(),
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_go() {
        let expected = ProfileParameters {
            seconds: 30,
            frequency: 100,
        };
        assert_eq!(ProfileParameters::parse("").unwrap(), expected);
    }

    #[test]
    fn both_parameters_are_read() {
        let parameters = ProfileParameters::parse("frequency=50&seconds=5").unwrap();
        assert_eq!((parameters.seconds, parameters.frequency), (5, 50));
    }

    #[test]
    fn an_invalid_value_is_reported_with_its_name_and_its_range() {
        for value in ["0", "301", "-1", "1.5", "1s", "", "99999999999"] {
            let error = ProfileParameters::parse(&format!("seconds={value}")).unwrap_err();
            let expected = format!("seconds is {value:?}, expected a whole number from 1 to 300");
            assert_eq!(error.to_string(), expected);
        }
        let error = ProfileParameters::parse("seconds=5&frequency=101").unwrap_err();
        let expected = "frequency is \"101\", expected a whole number from 1 to 100";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_repeated_parameter_is_reported() {
        for query in ["seconds=1&seconds=2", "seconds=1&frequency=9&seconds=1"] {
            let error = ProfileParameters::parse(query).unwrap_err();
            let expected = "seconds is given more than once, expected one value";
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn an_unknown_parameter_is_reported() {
        let error = ProfileParameters::parse("second=5").unwrap_err();
        let expected = "unknown parameter \"second\", expected seconds or frequency";
        assert_eq!(error.to_string(), expected);
    }
}
