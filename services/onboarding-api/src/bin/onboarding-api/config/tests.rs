use std::os::unix::ffi::OsStringExt as _;

use clap::CommandFactory as _;

use super::*;

const URL: &str = "http://127.0.0.1:9324/000000000000/onboarding";

/// Tables that must contain every setting.
const DOCUMENTS: [&str; 2] = [
    include_str!("../../../lib.rs"),
    include_str!("../../../../../../README.md"),
];

/// Parses flags. The result does not depend on this process's environment, because every test that
/// relies on a default gives an empty value, which means the default.
fn parse(
    flags: &[(&str, &str)],
    region: Option<&str>,
) -> Result<ProcessConfig, Vec<InvalidSetting>> {
    let mut given: Vec<String> = vec!["onboarding-api".to_owned()];
    for argument in Arguments::command().get_arguments() {
        let Some(long) = argument.get_long().filter(|_| argument.get_env().is_some()) else {
            continue;
        };
        let flag = format!("--{long}");
        let value = flags.iter().find(|(name, _)| *name == flag);
        given.push(format!("{flag}={}", value.map_or("", |(_, value)| value)));
    }
    Arguments::try_parse_from(given)
        .unwrap()
        .parse_values(region)
}

#[test]
fn only_the_queue_url_and_the_region_are_required() {
    let config = parse(&[("--queue-url", URL)], Some("eu-west-1")).unwrap();
    assert_eq!(config.queue_url.as_str(), URL);
    assert_eq!(config.listen_addr.to_string(), "0.0.0.0:8080");
    assert_eq!(config.limits.request_timeout, Duration::from_secs(15));
    assert_eq!(config.delivery_timeout, Duration::from_secs(5));
    assert_eq!(config.limits.max_concurrent_requests, 4096);
    assert_eq!(config.grace_period, Duration::from_secs(5));
    assert_eq!(config.shutdown_timeout, Duration::from_secs(15));
    assert_eq!(config.profiling_addr, None);
}

#[test]
fn a_shutdown_with_the_defaults_ends_before_ecs_kills_the_container() {
    let config = parse(&[("--queue-url", URL)], Some("eu-west-1")).unwrap();
    let longest = config.grace_period + config.shutdown_timeout + crate::TELEMETRY_SHUTDOWN;
    assert!(longest <= Duration::from_secs(27), "{longest:?}");
}

#[test]
fn given_values_override_the_defaults() {
    let flags = [
        ("--queue-url", URL),
        ("--listen-addr", "[::1]:0"),
        ("--shutdown-timeout", "7"),
    ];
    let config = parse(&flags, Some("eu-west-1")).unwrap();
    assert_eq!(config.listen_addr.to_string(), "[::1]:0");
    assert_eq!(config.shutdown_timeout, Duration::from_secs(7));
}

#[test]
fn every_invalid_value_is_reported_with_its_names_and_its_expected_form() {
    let flags = [
        ("--queue-url", "queue"),
        ("--listen-addr", "localhost"),
        ("--request-timeout", "0"),
        ("--delivery-timeout", "5s"),
        ("--max-concurrent-requests", "many"),
        ("--max-connections", "1"),
        ("--shutdown-grace-period", "-1"),
        ("--shutdown-timeout", "20s"),
        ("--profiling-addr", "localhost:6060"),
    ];
    let messages: Vec<String> = parse(&flags, None)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    let expected = [
        ["QUEUE_URL (--queue-url)", "\"queue\"", "https://sqs."],
        [
            "LISTEN_ADDR (--listen-addr)",
            "\"localhost\"",
            "0.0.0.0:8080",
        ],
        [
            "REQUEST_TIMEOUT (--request-timeout)",
            "\"0\"",
            "whole seconds",
        ],
        [
            "DELIVERY_TIMEOUT (--delivery-timeout)",
            "\"5s\"",
            "less than REQUEST_TIMEOUT",
        ],
        [
            "MAX_CONCURRENT_REQUESTS (--max-concurrent-requests)",
            "\"many\"",
            "a number",
        ],
        ["MAX_CONNECTIONS (--max-connections)", "\"1\"", "a number"],
        [
            "SHUTDOWN_GRACE_PERIOD (--shutdown-grace-period)",
            "\"-1\"",
            "whole seconds",
        ],
        [
            "SHUTDOWN_TIMEOUT (--shutdown-timeout)",
            "\"20s\"",
            "whole seconds",
        ],
        [
            "PROFILING_ADDR (--profiling-addr)",
            "\"localhost:6060\"",
            "expected off",
        ],
        ["AWS_REGION", "not set", "eu-west-1"],
    ];
    assert_eq!(messages.len(), expected.len(), "{messages:?}");
    for (message, parts) in messages.iter().zip(expected) {
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[test]
fn a_missing_queue_url_and_a_timeout_in_milliseconds_are_errors() {
    let invalid = parse(&[("--shutdown-timeout", "20000")], Some("eu-west-1")).unwrap_err();
    let names: Vec<&str> = invalid.iter().map(InvalidSetting::variable).collect();
    assert_eq!(names, ["QUEUE_URL", "SHUTDOWN_TIMEOUT"]);
}

#[test]
fn a_message_must_be_confirmed_before_the_request_times_out() {
    let flags = [("--queue-url", URL), ("--delivery-timeout", "15")];
    let invalid = parse(&flags, Some("eu-west-1")).unwrap_err();
    let expected = "DELIVERY_TIMEOUT (--delivery-timeout) is 15, and REQUEST_TIMEOUT is 15";
    assert!(invalid[0].to_string().starts_with(expected), "{invalid:?}");
}

#[test]
fn there_must_be_more_connections_than_concurrent_requests() {
    let flags = [
        ("--queue-url", URL),
        ("--max-concurrent-requests", "4096"),
        ("--max-connections", "4096"),
    ];
    let invalid = parse(&flags, Some("eu-west-1")).unwrap_err();
    let expected =
        "MAX_CONNECTIONS (--max-connections) is 4096, and MAX_CONCURRENT_REQUESTS is 4096";
    assert!(invalid[0].to_string().starts_with(expected), "{invalid:?}");
}

#[cfg(feature = "profiling")]
#[test]
fn a_port_alone_serves_profiles_on_loopback_only() {
    for (value, expected) in [
        ("6060", Some("127.0.0.1:6060")),
        ("0.0.0.0:6060", Some("0.0.0.0:6060")),
        ("[::1]:0", Some("[::1]:0")),
        ("off", None),
    ] {
        let address = parse_profiling_addr(value.into()).unwrap();
        assert_eq!(address, expected.map(|text| text.parse().unwrap()));
    }
    for value in ["65536", ":6060", "on", "localhost:6060"] {
        let invalid = parse_profiling_addr(value.into()).unwrap_err();
        assert!(invalid.to_string().contains("a port on loopback"));
    }
}

#[cfg(not(feature = "profiling"))]
#[test]
fn an_address_for_profiles_without_the_feature_is_an_error() {
    let invalid = parse_profiling_addr("6060".into()).unwrap_err();
    let expected = "PROFILING_ADDR (--profiling-addr) is \"6060\"; expected off, because onboarding-api is built without the feature profiling";
    assert_eq!(invalid.to_string(), expected);
}

#[test]
fn a_value_that_is_not_utf_8_is_invalid_and_not_unset() {
    let invalid = parse_queue_url(OsString::from_vec(vec![b'a', 0xff])).unwrap_err();
    assert!(invalid.to_string().contains("not UTF-8"), "{invalid}");
}

#[test]
fn each_setting_has_the_variable_and_the_flag_of_its_argument() {
    let settings = [
        QUEUE_URL,
        LISTEN_ADDR,
        REQUEST_TIMEOUT,
        DELIVERY_TIMEOUT,
        MAX_CONCURRENT_REQUESTS,
        MAX_CONNECTIONS,
        SHUTDOWN_GRACE_PERIOD,
        SHUTDOWN_TIMEOUT,
        PROFILING_ADDR,
    ];
    let expected = settings.map(|setting| (setting.variable.into(), setting.flag.unwrap().into()));
    assert_eq!(
        arguments().map(|(names, _)| names).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn the_tables_contain_every_argument_with_its_default() {
    for ((variable, flag), default) in arguments() {
        for document in DOCUMENTS {
            let row = format!("| `{variable}`");
            let row = document.lines().find(|line| line.contains(&row));
            let row = row.unwrap_or_else(|| panic!("{variable} is in no table"));
            let default = default
                .as_ref()
                .map_or("required".into(), |value| format!("`{value}`"));
            assert!(row.contains(&default), "{row}: {default}");
        }
        let flag_in_table = format!("`{variable}`, `{flag}` |");
        assert!(DOCUMENTS[0].contains(&flag_in_table), "{flag_in_table}");
    }
}

/// Returns the variable, the flag and the default of each argument.
fn arguments() -> impl Iterator<Item = ((String, String), Option<String>)> {
    let command = Arguments::command();
    let arguments: Vec<_> = command
        .get_arguments()
        .filter_map(|argument| {
            let variable = argument.get_env()?.to_str()?.to_owned();
            let flag = format!("--{}", argument.get_long()?);
            let default = argument.get_default_values().first();
            Some((
                (variable, flag),
                default.map(|value| value.to_str().unwrap().to_owned()),
            ))
        })
        .collect();
    arguments.into_iter()
}
