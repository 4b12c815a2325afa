//! Configuration of `baton replay`.

use super::HEADERS_SECRET;
use super::otlp::{self, ExporterConfig, OtlpConfig};
use super::reader::{Problem, VariableReader};
use crate::otlp::Signal;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const HEADERS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS",
];
/// The command line option for the endpoint, to be named in errors about it.
const ENDPOINT_OPTION: &str = "--endpoint";
/// Ignored: a person who replays spans wants to export them.
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";

/// The connection to the collector for replayed spans.
pub(crate) struct ReplayConfig {
    pub(crate) otlp: OtlpConfig,
    /// A variable that is set but ignored, because only a service can use it.
    pub(crate) ignored_variable: Option<&'static str>,
}

/// Reads the environment of the process. `endpoint` replaces its variables for the endpoint. The
/// error has one line for each problem.
pub(crate) fn traces_for_replay(endpoint: Option<&str>) -> Result<ReplayConfig, Vec<String>> {
    from_lookup(endpoint, &|name| {
        Some(std::env::var_os(name)?.to_string_lossy().into_owned())
    })
}

fn from_lookup(
    endpoint: Option<&str>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<ReplayConfig, Vec<String>> {
    let lookup = |name: &str| match (name, endpoint) {
        (EXPORTER, _) | (TRACES_ENDPOINT, Some(_)) => None,
        (ENDPOINT, Some(endpoint)) => Some(endpoint.to_owned()),
        _ => environment(name),
    };
    let mut reader = VariableReader::new(&lookup);
    let export = otlp::read(&mut reader, Signal::Traces);
    let ignored_variable = reader.text(HEADERS_SECRET).map(|_| HEADERS_SECRET);
    let has_headers = HEADERS.iter().any(|name| reader.text(name).is_some());
    let problems = reader.into_problems();
    let mut problems: Vec<String> = problems
        .iter()
        .map(|problem| message(problem, endpoint))
        .collect();
    // An empty variable would count as unset, and the spans would be sent to this machine.
    if endpoint.is_some_and(|endpoint| endpoint.trim().is_empty()) {
        problems.push(format!(
            "{ENDPOINT_OPTION}: expected a URL such as http://localhost:4318, found an empty value"
        ));
    }
    // Without the headers the collector would reject every request. A person usually may not read
    // the secret of the function.
    if ignored_variable.is_some() && !has_headers {
        problems.push(format!(
            "{HEADERS_SECRET} is not read here: set OTEL_EXPORTER_OTLP_HEADERS to the headers that the secret holds, or unset it"
        ));
    }
    match export {
        ExporterConfig::Otlp(otlp) if problems.is_empty() => Ok(ReplayConfig {
            otlp,
            ignored_variable,
        }),
        _ => Err(problems),
    }
}

/// Returns the message of a problem without its consequence for a service: here, nothing is sent.
fn message(problem: &Problem, endpoint: Option<&str>) -> String {
    match (problem.variable, endpoint) {
        (ENDPOINT, Some(_)) => problem.message(ENDPOINT_OPTION),
        (variable, _) => problem.message(variable),
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
            Ok(replay) => Ok(replay.otlp.endpoint.to_string()),
            Err(problems) => Err(problems.join("\n")),
        }
    }

    #[test]
    fn the_option_takes_precedence_over_the_environment() {
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
    fn an_invalid_variable_is_an_error() {
        let set = [("OTEL_EXPORTER_OTLP_HEADERS", "a key without a name")];
        let error = endpoint(Some("http://given:4318"), &set).unwrap_err();
        assert!(error.contains("OTEL_EXPORTER_OTLP_HEADERS"), "{error}");
        let error = endpoint(None, &[(ENDPOINT, "ftp://set")]).unwrap_err();
        assert!(
            error.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: "),
            "{error}"
        );
    }

    #[test]
    fn an_invalid_option_is_named_in_the_error() {
        for (given, found) in [
            ("ftp://given", "the scheme is neither http nor https"),
            ("", "found an empty value"),
            (" ", "found an empty value"),
        ] {
            let error = endpoint(Some(given), &[(ENDPOINT, "http://set:4318")]).unwrap_err();
            assert!(
                error.starts_with("--endpoint: expected a URL") && error.contains(found),
                "{error}"
            );
            assert!(!error.contains('\n') && !error.contains("OTEL_"), "{error}");
        }
    }

    #[test]
    fn errors_do_not_state_the_consequence_for_a_service() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon; or later"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a key; without a name"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier; pigeon"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file"),
        ] {
            let set = [(name, value), (ENDPOINT, "https://set:4318")];
            let error = endpoint(None, &set).unwrap_err();
            let (variable, wrong) = error.split_once(": expected ").unwrap();
            assert_eq!(variable, name);
            for consequence in ["ignored", "default", "disabled", "for traces"] {
                assert!(!wrong.contains(consequence), "{error}");
            }
        }
        let set = [("OTEL_EXPORTER_OTLP_TIMEOUT", "soon; or later")];
        let error = endpoint(None, &set).unwrap_err();
        assert!(error.ends_with("found \"soon; or later\""), "{error}");
    }

    #[test]
    fn headers_of_a_secret_must_be_set_in_the_environment() {
        let secret = (HEADERS_SECRET, "arn:aws:secretsmanager:x");
        for unset in [None, Some("")] {
            let set = [secret, (HEADERS[1], unset.unwrap_or_default())];
            let error = endpoint(None, &set[..if unset.is_some() { 2 } else { 1 }]).unwrap_err();
            assert!(
                error.contains(HEADERS_SECRET) && error.contains("set OTEL_EXPORTER_OTLP_HEADERS"),
                "{error}"
            );
            assert!(!error.contains("arn:"), "{error}");
        }
        for headers in HEADERS {
            assert!(endpoint(None, &[secret, (headers, "a=b")]).is_ok());
        }
    }
}
