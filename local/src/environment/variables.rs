//! Variables of an execution environment: Lambda's own and those of the function.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use time::OffsetDateTime;
use uuid::Uuid;

use super::Function;

/// Variables that a function must not replace: the environment would not reach its Runtime API, or
/// would report a wrong identity.
pub(super) const RESERVED: [&str; 7] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
];

/// Version of an unpublished function.
pub(super) const VERSION: &str = "$LATEST";

/// Placeholder for the credentials of the function's role. Local endpoints accept it, and AWS
/// rejects it.
const DUMMY_CREDENTIAL: &str = "local";

/// Returns the variables of a new environment whose Runtime API listens at `runtime_api`.
pub(super) fn build(function: &Function, runtime_api: SocketAddr) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (name, value) in identity_variables(function, runtime_api)
        .into_iter()
        .chain(platform_variables(function))
    {
        variables.insert(name.to_owned(), value);
    }
    variables.extend(function.env.clone());
    variables
}

/// Returns the variables that identify the environment.
fn identity_variables(function: &Function, runtime_api: SocketAddr) -> [(&'static str, String); 7] {
    [
        ("AWS_LAMBDA_FUNCTION_NAME", function.name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", VERSION.into()),
        (
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            function.memory_mb.to_string(),
        ),
        (
            "AWS_LAMBDA_LOG_GROUP_NAME",
            format!("/aws/lambda/{}", function.name),
        ),
        (
            "AWS_LAMBDA_LOG_STREAM_NAME",
            log_stream_name(OffsetDateTime::now_utc()),
        ),
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into()),
    ]
}

/// Returns the variables of the Lambda platform.
fn platform_variables(function: &Function) -> [(&'static str, String); 12] {
    let folder = function
        .binary
        .parent()
        .map(|folder| folder.display().to_string())
        .unwrap_or_default();
    [
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023".into()),
        ("AWS_REGION", function.region.clone()),
        ("AWS_DEFAULT_REGION", function.region.clone()),
        ("AWS_ACCESS_KEY_ID", DUMMY_CREDENTIAL.into()),
        ("AWS_SECRET_ACCESS_KEY", DUMMY_CREDENTIAL.into()),
        ("AWS_SESSION_TOKEN", DUMMY_CREDENTIAL.into()),
        ("LAMBDA_TASK_ROOT", folder.clone()),
        ("LAMBDA_RUNTIME_DIR", folder),
        ("_HANDLER", "bootstrap".into()),
        ("LANG", "en_US.UTF-8".into()),
        ("TZ", ":UTC".into()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin".into()),
    ]
}

/// Returns a log stream name in CloudWatch's format: the date of the start, the version, and 32
/// random hexadecimal digits.
fn log_stream_name(started: OffsetDateTime) -> String {
    let (year, month, day) = (started.year(), u8::from(started.month()), started.day());
    format!(
        "{year}/{month:02}/{day:02}/[{VERSION}]{}",
        Uuid::new_v4().simple()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_streams_are_named_as_on_aws() {
        let name = log_stream_name(OffsetDateTime::from_unix_timestamp(86_400).unwrap());
        let (date, instance) = name.split_once("[$LATEST]").unwrap();
        assert_eq!(date, "1970/01/02/");
        assert!(
            instance.len() == 32 && instance.chars().all(|digit| digit.is_ascii_hexdigit()),
            "{name}"
        );
    }
}
