//! What counts where a person has spans sent again.

use super::otlp::{self, Export, Otlp};
use super::reader::{Problem, Reader};
use crate::signal::Signal;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
/// Whether a service exports says nothing here.
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";

/// Reads the process's environment, in which `endpoint` replaces what it says about the endpoint.
pub(crate) fn traces_for_replay(endpoint: Option<&str>) -> Result<Otlp, Vec<Problem>> {
    from_lookup(endpoint, &|name| {
        Some(std::env::var_os(name)?.to_string_lossy().into_owned())
    })
}

fn from_lookup(
    endpoint: Option<&str>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Otlp, Vec<Problem>> {
    let lookup = |name: &str| match (name, endpoint) {
        (EXPORTER, _) | (TRACES_ENDPOINT, Some(_)) => None,
        (ENDPOINT, Some(endpoint)) => Some(endpoint.to_owned()),
        _ => environment(name),
    };
    let mut reader = Reader::new(&lookup);
    let export = otlp::read(&mut reader, Signal::Traces);
    let problems = reader.into_problems();
    match export {
        Export::Otlp(otlp) if problems.is_empty() => Ok(otlp),
        _ => Err(problems),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(given: Option<&str>, environment: &[(&str, &str)]) -> Result<String, String> {
        let lookup = |name: &str| {
            let mut pairs = environment.iter();
            pairs
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        match from_lookup(given, &lookup) {
            Ok(otlp) => Ok(otlp.endpoint.to_string()),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn what_is_given_goes_before_what_is_set() {
        let set = [
            (EXPORTER, "none"),
            (TRACES_ENDPOINT, "http://collector:4318/here"),
            (ENDPOINT, "http://elsewhere:4318"),
        ];
        let expected = Ok("http://collector:4318/here".to_owned());
        assert_eq!(endpoint(None, &set), expected);
        let expected = Ok("http://given:4318/v1/traces".to_owned());
        assert_eq!(endpoint(Some("http://given:4318"), &set), expected);
    }

    #[test]
    fn whatever_is_wrong_is_an_error() {
        let set = [("OTEL_EXPORTER_OTLP_HEADERS", "a key without a name")];
        let error = endpoint(Some("http://given:4318"), &set).unwrap_err();
        assert!(error.contains("OTEL_EXPORTER_OTLP_HEADERS"), "{error}");
        let error = endpoint(Some("ftp://given"), &[]).unwrap_err();
        assert!(error.contains(ENDPOINT), "{error}");
    }
}
