//! Environment variables of the function and the producer, and those that a user exports to use the
//! stack from a shell.

use std::collections::BTreeMap;
use std::path::Path;

use super::binaries::program_name;
use super::config::{CREDENTIALS, Fault, Logging, REGION, StackConfig};

/// Export interval of the producer in milliseconds: short, so that a trace is complete soon after
/// its request.
const PRODUCER_EXPORT_INTERVAL: &str = "500";

/// Variable that selects the log level of the function and the producer.
const LOG_FILTER: &str = "RUST_LOG";

/// Variable of the OTLP protocol. An endpoint in one of the variables below implies the protocol
/// too, by its port or by having no scheme.
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const ENDPOINTS: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
];

/// Variable from which every AWS SDK reads the SQS endpoint.
const SQS_ENDPOINT: &str = "AWS_ENDPOINT_URL_SQS";

/// URLs of the parts that other parts connect to.
#[derive(Clone, Debug)]
pub(super) struct Addresses<'a> {
    pub(super) sqs: &'a str,
    pub(super) queue: &'a str,
    pub(super) otlp_http: &'a str,
}

/// Returns the variables of the function in addition to those that Lambda sets.
pub(super) fn function_variables(
    addresses: &Addresses<'_>,
    config: &StackConfig,
) -> BTreeMap<String, String> {
    let mut variables = telemetry_variables(addresses, &config.function, config.logging);
    remove_conflicting(&mut variables, config);
    // Without this variable, an SDK in the function would send messages to AWS. Lambda sets the
    // region and the credentials.
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

/// Removes variables that would give the user's own variables for the function another meaning than
/// in a deployment.
fn remove_conflicting(variables: &mut BTreeMap<String, String>, config: &StackConfig) {
    let is_given = |name: &str| config.variables.iter().any(|(given, _)| given == name);
    if ENDPOINTS.into_iter().any(is_given) {
        variables.remove(PROTOCOL);
    }
}

/// Returns all variables of the producer.
pub(super) fn producer_variables(
    binary: &Path,
    addresses: &Addresses<'_>,
    config: &StackConfig,
) -> BTreeMap<String, String> {
    let mut variables = telemetry_variables(addresses, binary, config.logging);
    variables.extend(aws_variables(addresses));
    variables.extend(owned_pairs([
        (
            "LISTEN_ADDR",
            &*format!("127.0.0.1:{}", config.ports.producer),
        ),
        ("OTEL_BSP_SCHEDULE_DELAY", PRODUCER_EXPORT_INTERVAL),
        // There is no load balancer to wait for.
        ("SHUTDOWN_GRACE_PERIOD", "0"),
    ]));
    variables
}

/// Returns the variables for a shell that uses the queue and the OTLP receiver.
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

/// Returns the variables for a shell that uses the SQS endpoint.
pub(super) fn sqs_variables(endpoint: &str) -> Vec<(String, String)> {
    owned_pairs([
        (SQS_ENDPOINT, endpoint),
        ("AWS_REGION", REGION),
        // Botocore, and therefore the AWS CLI, reads this variable instead.
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

    fn config(faults: Vec<Fault>) -> StackConfig {
        StackConfig {
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
            metrics_address: None,
        }
    }

    #[test]
    fn variables_given_for_the_function_override_and_do_not_reach_the_producer() {
        let config = config(Vec::new());
        assert_eq!(function_variables(&ADDRESSES, &config)["RUST_LOG"], "warn");
        assert_ne!(
            producer_variables(Path::new(PRODUCER), &ADDRESSES, &config)["RUST_LOG"],
            "warn"
        );
    }

    /// Returns the variables of a function for which the user gives these.
    fn given(logging: Logging, pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        let config = StackConfig {
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
    fn a_given_endpoint_removes_the_default_protocol() {
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
    fn the_function_uses_this_sqs_unless_it_is_given_another() {
        let mut config = config(Vec::new());
        let name = "AWS_ENDPOINT_URL_SQS";
        assert_eq!(function_variables(&ADDRESSES, &config)[name], ADDRESSES.sqs);
        let other = "http://127.0.0.1:9";
        config.variables = vec![(name.to_owned(), other.to_owned())];
        assert_eq!(function_variables(&ADDRESSES, &config)[name], other);
    }

    #[test]
    fn a_shell_gets_the_region_under_both_names() {
        let variables = sqs_variables(ADDRESSES.sqs);
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            assert!(
                variables.contains(&(name.to_owned(), REGION.to_owned())),
                "{variables:?}"
            );
        }
    }

    #[test]
    fn a_service_is_named_after_its_binary() {
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
    fn the_producer_gets_all_its_variables() {
        let variables = producer_variables(Path::new(PRODUCER), &ADDRESSES, &config(Vec::new()));
        let pairs = variables
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
            "SHUTDOWN_GRACE_PERIOD=0",
        ];
        assert_eq!(pairs, expected);
    }
}
