//! The variables that the two binaries get, and the ones a person exports to use the stack from a
//! shell.

use std::collections::BTreeMap;
use std::path::Path;

use super::binaries::program_name;
use super::config::{CREDENTIALS, Config, Fault, Logging, REGION};

/// Spans of the producer leave it quickly, so that a trace is whole soon after its request
/// (milliseconds).
const PRODUCER_EXPORT_INTERVAL: &str = "500";

/// The variable that selects what the function and the producer log.
const LOG_FILTER: &str = "RUST_LOG";

/// What carries OTLP, and the variables with an endpoint that says it too, by its port or by having
/// no scheme.
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const ENDPOINTS: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
];

/// The variable by which every AWS SDK finds SQS.
const SQS_ENDPOINT: &str = "AWS_ENDPOINT_URL_SQS";

/// Where the parts of the stack that others talk to are.
#[derive(Clone, Debug)]
pub(super) struct Addresses<'a> {
    pub(super) sqs: &'a str,
    pub(super) queue: &'a str,
    pub(super) otlp_http: &'a str,
}

/// What the function gets on top of what Lambda sets.
pub(super) fn function_variables(
    addresses: &Addresses<'_>,
    config: &Config,
) -> BTreeMap<String, String> {
    let mut variables = telemetry_variables(addresses, &config.function, config.logging);
    remove_conflicting(&mut variables, config);
    // Without it the SDK inside the function would take its messages to AWS. Region and credentials
    // are among what Lambda sets.
    variables.insert(SQS_ENDPOINT.to_owned(), addresses.sqs.to_owned());
    if !config.faults.is_empty() {
        let list = config
            .faults
            .iter()
            .map(Fault::to_string)
            .collect::<Vec<_>>()
            .join(",");
        variables.insert("BATON_DEMO_FAULTS".to_owned(), list);
    }
    variables.extend(config.variables.iter().cloned());
    variables
}

/// Takes out what would keep variables that are given for the function from meaning what they mean
/// when it is deployed.
fn remove_conflicting(variables: &mut BTreeMap<String, String>, config: &Config) {
    let is_given = |name: &str| config.variables.iter().any(|(given, _)| given == name);
    if ENDPOINTS.into_iter().any(is_given) {
        variables.remove(PROTOCOL);
    }
}

/// Everything that the producer gets.
pub(super) fn producer_variables(
    binary: &Path,
    addresses: &Addresses<'_>,
    config: &Config,
) -> BTreeMap<String, String> {
    let mut variables = telemetry_variables(addresses, binary, config.logging);
    variables.extend(aws_variables(addresses));
    variables.extend(owned_pairs([
        (
            "LISTEN_ADDR",
            &*format!("127.0.0.1:{}", config.ports.producer),
        ),
        ("OTEL_BSP_SCHEDULE_DELAY", PRODUCER_EXPORT_INTERVAL),
    ]));
    variables
}

/// What a person exports to send to the queue and to the receiver from a shell.
pub(super) fn shell_variables(addresses: &Addresses<'_>) -> Vec<(String, String)> {
    let telemetry = owned_pairs([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", addresses.otlp_http),
        (PROTOCOL, "http/protobuf"),
    ]);
    aws_variables(addresses)
        .into_iter()
        .chain(telemetry)
        .collect()
}

/// What a person exports to use the SQS endpoint from a shell.
pub(super) fn sqs_variables(endpoint: &str) -> Vec<(String, String)> {
    owned_pairs([
        (SQS_ENDPOINT, endpoint),
        ("AWS_REGION", REGION),
        // What botocore, and the AWS CLI with it, reads instead.
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", CREDENTIALS),
        ("AWS_SECRET_ACCESS_KEY", CREDENTIALS),
    ])
}

fn aws_variables(addresses: &Addresses<'_>) -> Vec<(String, String)> {
    let mut variables = sqs_variables(addresses.sqs);
    variables.extend(owned_pairs([("QUEUE_URL", addresses.queue)]));
    variables
}

fn telemetry_variables(
    addresses: &Addresses<'_>,
    binary: &Path,
    logging: Logging,
) -> BTreeMap<String, String> {
    let filter = logging.filter();
    owned_pairs([
        ("OTEL_SERVICE_NAME", &*program_name(binary)),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", addresses.otlp_http),
        (PROTOCOL, "http/protobuf"),
    ])
    .into_iter()
    .chain(filter.map(|filter| (LOG_FILTER.to_owned(), filter.to_owned())))
    .collect()
}

fn owned_pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroUsize};
    use std::time::Duration;

    use super::super::config::{Ports, QueueConfig, QueueName};
    use super::*;
    use crate::environment::Freeze;

    const PRODUCER: &str = "/t/demo/onboarding-api";
    const ADDRESSES: Addresses<'_> = Addresses {
        sqs: "http://127.0.0.1:1",
        queue: "http://127.0.0.1:1/000000000000/onboarding",
        otlp_http: "http://127.0.0.1:2",
    };

    fn config(faults: Vec<Fault>) -> Config {
        Config {
            function: "/t/demo/my-function".into(),
            producer: Some(PRODUCER.into()),
            ports: Ports {
                producer: 8080,
                ..Ports::default()
            },
            queue: QueueConfig {
                name: QueueName::default(),
                visibility_timeout: Duration::ZERO,
                max_receive_count: NonZeroU32::MIN,
            },
            batch_size: NonZeroUsize::MIN,
            batching_window: Duration::ZERO,
            concurrency: NonZeroUsize::MIN,
            function_timeout: Duration::ZERO,
            idle_after: Duration::ZERO,
            freeze: Freeze::Never,
            variables: vec![("RUST_LOG".to_owned(), "warn".to_owned())],
            faults,
            logging: Logging::SpanCounts,
            allowed_hosts: crate::AllowedHosts::default(),
        }
    }

    #[test]
    fn what_is_given_for_the_function_wins_and_is_for_the_function_alone() {
        let config = config(Vec::new());
        assert_eq!(function_variables(&ADDRESSES, &config)["RUST_LOG"], "warn");
        assert_ne!(
            producer_variables(Path::new(PRODUCER), &ADDRESSES, &config)["RUST_LOG"],
            "warn"
        );
    }

    /// What the function gets where this is given for it.
    fn given(logging: Logging, pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        let config = Config {
            variables: pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            logging,
            ..config(Vec::new())
        };
        assert!(
            producer_variables(Path::new(PRODUCER), &ADDRESSES, &config).contains_key(PROTOCOL)
        );
        function_variables(&ADDRESSES, &config)
    }

    #[test]
    fn the_log_filter_is_unset_as_on_lambda_unless_span_counts_are_needed() {
        assert!(!given(Logging::Default, &[]).contains_key(LOG_FILTER));
        let level = ("AWS_LAMBDA_LOG_LEVEL", "DEBUG");
        let counted = given(Logging::SpanCounts, &[level]);
        assert_eq!(counted[LOG_FILTER], "info,baton_telemetry=debug");
    }

    #[test]
    fn an_endpoint_that_is_given_comes_without_the_protocol_of_ours() {
        assert_eq!(given(Logging::Default, &[])[PROTOCOL], "http/protobuf");
        for name in ENDPOINTS {
            let endpoint = (name, "collector:4317");
            let variables = given(Logging::Default, &[endpoint]);
            assert_eq!(variables[name], "collector:4317");
            assert!(!variables.contains_key(PROTOCOL), "{variables:?}");
            let both = given(Logging::Default, &[endpoint, (PROTOCOL, "grpc")]);
            assert_eq!(both[PROTOCOL], "grpc");
        }
    }

    #[test]
    fn the_function_finds_this_sqs_unless_it_is_given_another() {
        let mut config = config(Vec::new());
        let name = "AWS_ENDPOINT_URL_SQS";
        assert_eq!(function_variables(&ADDRESSES, &config)[name], ADDRESSES.sqs);
        let other = "http://127.0.0.1:9";
        config.variables = vec![(name.to_owned(), other.to_owned())];
        assert_eq!(function_variables(&ADDRESSES, &config)[name], other);
    }

    #[test]
    fn a_shell_is_told_the_region_by_both_its_names() {
        let told = sqs_variables(ADDRESSES.sqs);
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            assert!(
                told.contains(&(name.to_owned(), REGION.to_owned())),
                "{told:?}"
            );
        }
    }

    #[test]
    fn a_service_is_called_as_its_binary_is() {
        let config = config(Vec::new());
        let name = "OTEL_SERVICE_NAME";
        assert_eq!(function_variables(&ADDRESSES, &config)[name], "my-function");
        assert_eq!(
            producer_variables(Path::new(PRODUCER), &ADDRESSES, &config)[name],
            "onboarding-api"
        );
    }

    #[test]
    fn faults_are_off_unless_asked_for() {
        assert!(
            !function_variables(&ADDRESSES, &config(Vec::new())).contains_key("BATON_DEMO_FAULTS")
        );
        let faults = ["panic=a", "slow=b"]
            .map(|fault| fault.parse().unwrap())
            .to_vec();
        assert_eq!(
            function_variables(&ADDRESSES, &config(faults))["BATON_DEMO_FAULTS"],
            "panic=a,slow=b"
        );
    }

    #[test]
    fn the_producer_is_told_all_it_needs() {
        let variables = producer_variables(Path::new(PRODUCER), &ADDRESSES, &config(Vec::new()));
        let told = variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>();
        let expected = [
            "AWS_ACCESS_KEY_ID=test",
            "AWS_DEFAULT_REGION=us-east-1",
            "AWS_ENDPOINT_URL_SQS=http://127.0.0.1:1",
            "AWS_REGION=us-east-1",
            "AWS_SECRET_ACCESS_KEY=test",
            "LISTEN_ADDR=127.0.0.1:8080",
            "OTEL_BSP_SCHEDULE_DELAY=500",
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:2",
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
            "OTEL_SERVICE_NAME=onboarding-api",
            "QUEUE_URL=http://127.0.0.1:1/000000000000/onboarding",
            "RUST_LOG=info,baton_telemetry=debug",
        ];
        assert_eq!(told, expected);
    }
}
