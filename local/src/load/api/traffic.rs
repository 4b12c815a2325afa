//! The body of a request for traffic.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};

use super::problem::FieldError;
use crate::load::Profile;

const DURATION: &str = "duration_seconds";
const RATE: &str = "requests_per_minute";
const PROFILE: &str = "profile";

/// Durations of a run: up to an hour, so that a forgotten run ends.
const DURATIONS: RangeInclusive<u64> = 1..=3_600;
/// Rates of a run: up to 1,000 requests per second, with which one request cannot cause the costs
/// of a mistyped number.
const RATES: RangeInclusive<u64> = 1..=60_000;

/// Traffic that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Traffic {
    pub(super) duration_seconds: u64,
    pub(super) requests_per_minute: u64,
    pub(super) profile: Profile,
}

impl Traffic {
    /// Checks all fields before it returns errors.
    pub(super) fn from_fields(
        fields: &Map<String, Value>,
        default_profile: Profile,
    ) -> Result<Self, Vec<FieldError>> {
        let known = [DURATION, RATE, PROFILE];
        let unknown = fields
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()));
        let mut errors: Vec<_> = unknown
            .map(|(name, value)| {
                error(
                    name,
                    value,
                    format!("one of the fields {}", known.join(", ")),
                )
            })
            .collect();
        let mut integer = |name: &str, range: RangeInclusive<u64>| {
            let value = fields.get(name).unwrap_or(&Value::Null);
            let integer = value.as_u64().filter(|integer| range.contains(integer));
            integer.unwrap_or_else(|| {
                let (first, last) = range.into_inner();
                let expected = format!("an integer from {first} to {last}");
                errors.push(error(name, value, expected));
                first
            })
        };
        let duration_seconds = integer(DURATION, DURATIONS);
        let requests_per_minute = integer(RATE, RATES);
        let profile = match fields.get(PROFILE) {
            None | Some(Value::Null) => default_profile,
            Some(value) => value
                .as_str()
                .and_then(Profile::from_name)
                .unwrap_or_else(|| {
                    let names = Profile::ALL.map(Profile::name).join(", ");
                    errors.push(error(PROFILE, value, format!("one of {names}")));
                    default_profile
                }),
        };
        if errors.is_empty() {
            Ok(Self {
                duration_seconds,
                requests_per_minute,
                profile,
            })
        } else {
            Err(errors)
        }
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs(self.duration_seconds)
    }

    /// Returns the rate in requests per second.
    pub(super) fn rate(&self) -> f64 {
        // Exact, because the maximum is small.
        self.requests_per_minute as f64 / 60.0
    }
}

/// Returns the error of a field. A missing field is found as `null`.
fn error(field: &str, found: &Value, expected: String) -> FieldError {
    FieldError {
        field: field.to_owned(),
        found: found.clone(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(body: Value) -> Result<Traffic, Vec<FieldError>> {
        Traffic::from_fields(body.as_object().unwrap(), Profile::Ramp)
    }

    #[test]
    fn the_profile_is_optional() {
        let traffic = parse(json!({"duration_seconds": 60, "requests_per_minute": 120})).unwrap();
        assert_eq!((traffic.rate(), traffic.profile), (2.0, Profile::Ramp));
        let body =
            json!({"duration_seconds": 3600, "requests_per_minute": 60000, "profile": "soak"});
        assert_eq!(parse(body).unwrap().profile, Profile::Soak);
    }

    #[test]
    fn all_errors_are_returned_together() {
        for (body, fields) in [
            (json!({}), &[DURATION, RATE][..]),
            (json!({DURATION: 0, RATE: 60001}), &[DURATION, RATE]),
            (json!({DURATION: "60", RATE: 1.5}), &[DURATION, RATE]),
            (
                json!({DURATION: 3601, RATE: 1, PROFILE: "fast"}),
                &[DURATION, PROFILE],
            ),
            (json!({DURATION: 1, RATE: 1, "rate": 5}), &["rate"]),
        ] {
            let errors = parse(body.clone()).unwrap_err();
            let found: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
            assert_eq!(found, fields, "{body}");
        }
        let errors = parse(json!({DURATION: 1, RATE: 1, PROFILE: "fast"})).unwrap_err();
        assert_eq!(errors[0].found, "fast");
        assert_eq!(errors[0].expected, "one of steady, ramp, blackfriday, soak");
    }
}
