//! Variables that Lambda sets for each function.

use super::environment::{InvalidConfig, Lookup, process_variable};

const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// Error in a variable that Lambda sets. Checked before `lambda_runtime` reads the variables,
/// because it panics on errors.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RuntimeVariableError {
    Missing(&'static str),
    Invalid(InvalidConfig),
}

/// Checks the variables that `lambda_runtime` needs.
pub(crate) fn check_runtime_variables() -> Result<(), RuntimeVariableError> {
    check_variables(&process_variable)
}

/// Returns the host and port of the Runtime API.
pub(crate) fn runtime_api_address() -> Option<String> {
    process_variable(RUNTIME_API)
}

/// Returns `true` if execution environments are restored from a snapshot of an initialised one.
pub(crate) fn is_snapstart() -> bool {
    process_variable("AWS_LAMBDA_INITIALIZATION_TYPE").as_deref() == Some("snap-start")
}

/// Variable with the ids of messages that may have caused a panic. A process that panics sets it
/// for the process that replaces it. The name does not begin with `BATON_`, because users do not
/// set it.
#[cfg(feature = "panic-abort")]
pub(crate) const SUSPECTS: &str = "_BATON_PANIC_SUSPECTS";

/// Returns the message ids in [`SUSPECTS`].
#[cfg(feature = "panic-abort")]
pub(crate) fn read_suspects() -> Vec<String> {
    let ids = process_variable(SUSPECTS).unwrap_or_default();
    ids.split(',').map(str::to_owned).collect()
}

type IsValid<'a> = &'a dyn Fn(&str) -> bool;

fn check_variables(lookup: Lookup<'_>) -> Result<(), RuntimeVariableError> {
    let is_address = |text: &str| {
        let uri = text.parse::<http::Uri>();
        uri.is_ok_and(|uri| uri.authority().is_some())
    };
    let checks: [(_, _, IsValid<'_>); 4] = [
        (RUNTIME_API, "host:port", &is_address),
        ("AWS_LAMBDA_FUNCTION_NAME", "a name", &|_| true),
        ("AWS_LAMBDA_FUNCTION_VERSION", "a version", &|_| true),
        (
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            "an integer, in megabytes",
            &|text| text.parse::<i32>().is_ok(),
        ),
    ];
    for (variable, expected, is_valid) in checks {
        let found = lookup(variable).filter(|text| !text.is_empty());
        let found = found.ok_or(RuntimeVariableError::Missing(variable))?;
        if !is_valid(&found) {
            return Err(RuntimeVariableError::Invalid(InvalidConfig {
                variable,
                expected,
                found,
            }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_the_runtime_would_panic_on_are_errors() {
        let check = |name: &str, value: Option<&str>| {
            check_variables(&|asked| match asked {
                asked if asked == name => value.map(str::to_owned),
                "AWS_LAMBDA_RUNTIME_API" => Some("127.0.0.1:9001".to_owned()),
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE" => Some("256".to_owned()),
                _ => Some("orders".to_owned()),
            })
        };
        assert_eq!(check("", None), Ok(()));
        for value in [None, Some("")] {
            let missing = RuntimeVariableError::Missing("AWS_LAMBDA_RUNTIME_API");
            assert_eq!(check("AWS_LAMBDA_RUNTIME_API", value), Err(missing));
        }
        for (name, value) in [
            ("AWS_LAMBDA_RUNTIME_API", "http://bad url"),
            ("AWS_LAMBDA_RUNTIME_API", "/path"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "lots"),
        ] {
            let Err(RuntimeVariableError::Invalid(invalid)) = check(name, Some(value)) else {
                panic!("{name}={value} is accepted");
            };
            assert_eq!((invalid.variable, &*invalid.found), (name, value));
        }
    }
}
