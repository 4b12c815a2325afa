//! The variables that the two binaries get, and the ones a person exports to use the stack from a shell.

use std::collections::BTreeMap;

use super::config::{Config, Fault};
use super::names::{CREDENTIALS, FUNCTION_SERVICE, PRODUCER_SERVICE, REGION};

/// Logs of both binaries: what they say anyway, and after each flush how many spans there were, from which the demo computes what was lost.
const LOG_FILTER: &str = "info,baton_telemetry=debug";
/// Spans of the producer leave it quickly, so that a trace is whole soon after its request (milliseconds).
const PRODUCER_EXPORT_INTERVAL: &str = "500";

/// Where the parts of the stack that others talk to are.
#[derive(Clone, Debug)]
pub(super) struct Addresses<'a> {
    pub(super) sqs: &'a str,
    pub(super) queue: &'a str,
    pub(super) otlp_http: &'a str,
}

/// What the function gets on top of what Lambda sets.
pub(super) fn of_function(addresses: &Addresses<'_>, faults: &[Fault]) -> BTreeMap<String, String> {
    let mut variables = telemetry(addresses, FUNCTION_SERVICE);
    if !faults.is_empty() {
        let list = faults
            .iter()
            .map(Fault::to_string)
            .collect::<Vec<_>>()
            .join(",");
        variables.insert("BATON_DEMO_FAULTS".to_owned(), list);
    }
    variables
}

/// Everything that the producer gets.
pub(super) fn of_producer(addresses: &Addresses<'_>, config: &Config) -> BTreeMap<String, String> {
    let mut variables = telemetry(addresses, PRODUCER_SERVICE);
    variables.extend(aws(addresses));
    variables.extend(owned([
        (
            "LISTEN_ADDR",
            &*format!("127.0.0.1:{}", config.ports.producer),
        ),
        ("OTEL_BSP_SCHEDULE_DELAY", PRODUCER_EXPORT_INTERVAL),
    ]));
    variables
}

/// What a person exports to send to the queue and to the receiver from a shell.
pub(super) fn of_shell(addresses: &Addresses<'_>) -> Vec<(String, String)> {
    let telemetry = owned([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", addresses.otlp_http),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ]);
    aws(addresses).into_iter().chain(telemetry).collect()
}

/// What a person exports to use the SQS endpoint from a shell.
pub(super) fn of_sqs(endpoint: &str) -> Vec<(String, String)> {
    owned([
        ("AWS_ENDPOINT_URL_SQS", endpoint),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", CREDENTIALS),
        ("AWS_SECRET_ACCESS_KEY", CREDENTIALS),
    ])
}

fn aws(addresses: &Addresses<'_>) -> Vec<(String, String)> {
    let mut variables = of_sqs(addresses.sqs);
    variables.extend(owned([("QUEUE_URL", addresses.queue)]));
    variables
}

fn telemetry(addresses: &Addresses<'_>, service: &str) -> BTreeMap<String, String> {
    owned([
        ("OTEL_SERVICE_NAME", service),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", addresses.otlp_http),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("RUST_LOG", LOG_FILTER),
    ])
    .into_iter()
    .collect()
}

fn owned<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::config::FaultKind;
    use super::*;

    const ADDRESSES: Addresses<'_> = Addresses {
        sqs: "http://127.0.0.1:1",
        queue: "http://127.0.0.1:1/000000000000/onboarding",
        otlp_http: "http://127.0.0.1:2",
    };

    #[test]
    fn faults_are_off_unless_asked_for() {
        assert!(!of_function(&ADDRESSES, &[]).contains_key("BATON_DEMO_FAULTS"));
        let faults =
            [(FaultKind::Panic, "a"), (FaultKind::Slow, "b")].map(|(kind, customer)| Fault {
                kind,
                customer_id: customer.to_owned(),
            });
        assert_eq!(
            of_function(&ADDRESSES, &faults)["BATON_DEMO_FAULTS"],
            "panic=a,slow=b"
        );
    }
}
