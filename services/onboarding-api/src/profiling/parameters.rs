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

/// The kernel checks the timer at each of its own ticks, commonly 250 times a second. At 50 to 150
/// Hz, the samples of a profile under load accounted for 83 % of the CPU time, at 250 Hz only half.
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
    #[error("{name} is {value:?}, expected a whole number from {} to {}", expected.start(), expected.end())]
    Value {
        name: &'static str,
        value: String,
        expected: RangeInclusive<u32>,
    },
}

impl ProfileParameters {
    pub(super) fn parse(query: &str) -> Result<Self, InvalidParameter> {
        let mut parameters = Self {
            seconds: DEFAULT_SECONDS,
            frequency: DEFAULT_FREQUENCY,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "seconds" => parameters.seconds = parse_number("seconds", &value, SECONDS)?,
                "frequency" => {
                    parameters.frequency = parse_number("frequency", &value, FREQUENCIES)?;
                }
                _ => return Err(InvalidParameter::Unknown(name.into_owned())),
            }
        }
        Ok(parameters)
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
    fn an_unknown_parameter_is_reported() {
        let error = ProfileParameters::parse("second=5").unwrap_err();
        let expected = "unknown parameter \"second\", expected seconds or frequency";
        assert_eq!(error.to_string(), expected);
    }
}
