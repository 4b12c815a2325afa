//! What produces the telemetry, as OpenTelemetry resource attributes.

mod ecs;

use crate::config::{Config, LambdaEnvironment, Platform};
use crate::telemetry::Service;
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{ResourceDetector as _, TelemetryResourceDetector};
use opentelemetry_semantic_conventions::SCHEMA_URL;
use opentelemetry_semantic_conventions::attribute as key;

/// `cloud.provider` and `cloud.platform` have enumerated values, for which the conventions' crate has no constants.
const AWS: &str = "aws";
const AWS_LAMBDA: &str = "aws_lambda";
const AWS_ECS: &str = "aws_ecs";

/// `faas.max_memory` is in bytes, Lambda's variable in MiB.
const BYTES_PER_MEGABYTE: i64 = 1024 * 1024;

/// Merges what is known, the most specific last: the platform, the program, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`.
pub(crate) async fn detect(config: &Config, service: Service) -> Resource {
    let mut attributes: Vec<KeyValue> = TelemetryResourceDetector
        .detect()
        .iter()
        .map(|(key, value)| KeyValue::new(key.clone(), value.clone()))
        .collect();
    put(&mut attributes, key::SERVICE_NAME, service.name);
    if let Some(version) = service.version {
        put(&mut attributes, key::SERVICE_VERSION, version);
    }
    match &config.platform {
        Platform::Lambda(lambda) => lambda_attributes(&mut attributes, lambda),
        Platform::Ecs(metadata_uri) => attributes.extend(ecs::detect(metadata_uri).await),
        Platform::Elsewhere => {}
    }
    for (key, value) in &config.resource_attributes {
        attributes.push(KeyValue::new(key.clone(), value.clone()));
    }
    if let Some(name) = &config.service_name {
        put(&mut attributes, key::SERVICE_NAME, name.clone());
    }
    // Of two attributes with the same key the builder keeps the later one.
    Resource::builder_empty()
        .with_schema_url(attributes, SCHEMA_URL)
        .build()
}

fn put(attributes: &mut Vec<KeyValue>, key: &'static str, value: impl Into<Value>) {
    attributes.push(KeyValue::new(key, value));
}

/// The attributes that the conventions ask of a Lambda resource; `cloud.resource_id` is known only with an invocation.
fn lambda_attributes(attributes: &mut Vec<KeyValue>, lambda: &LambdaEnvironment) {
    put(attributes, key::CLOUD_PROVIDER, AWS);
    put(attributes, key::CLOUD_PLATFORM, AWS_LAMBDA);
    put(attributes, key::FAAS_NAME, lambda.function_name.clone());
    put(attributes, key::SERVICE_NAME, lambda.function_name.clone());
    let optional = [
        (key::CLOUD_REGION, &lambda.region),
        (key::FAAS_VERSION, &lambda.function_version),
        (key::FAAS_INSTANCE, &lambda.log_stream),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            put(attributes, key, value.clone());
        }
    }
    if let Some(group) = &lambda.log_group {
        let groups = Value::Array(vec![opentelemetry::StringValue::from(group.clone())].into());
        put(attributes, key::AWS_LOG_GROUP_NAMES, groups);
    }
    if let Some(memory) = lambda.memory_megabytes {
        let bytes = memory.saturating_mul(BYTES_PER_MEGABYTE);
        put(attributes, key::FAAS_MAX_MEMORY, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: Service = Service {
        name: "in-code",
        version: Some("1.2.3"),
    };

    async fn resource(variables: &[(&str, &str)]) -> Resource {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let (config, problems) = Config::from_lookup(&lookup);
        assert!(problems.is_empty());
        detect(&config, SERVICE).await
    }

    fn text(resource: &Resource, name: &'static str) -> Option<String> {
        resource
            .get(&opentelemetry::Key::new(name))
            .map(|value| value.to_string())
    }

    #[tokio::test]
    async fn the_most_specific_service_name_wins() {
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=listed,team=a");
        let lambda = ("AWS_LAMBDA_FUNCTION_NAME", "function");
        let named = ("OTEL_SERVICE_NAME", "named");
        let name = async |variables: &[_]| text(&resource(variables).await, key::SERVICE_NAME);
        assert_eq!(name(&[]).await.as_deref(), Some("in-code"));
        assert_eq!(name(&[lambda]).await.as_deref(), Some("function"));
        assert_eq!(name(&[lambda, attributes]).await.as_deref(), Some("listed"));
        assert_eq!(name(&[attributes, named]).await.as_deref(), Some("named"));
    }

    #[tokio::test]
    async fn a_function_is_described_as_the_conventions_ask() {
        let resource = resource(&[
            ("AWS_LAMBDA_FUNCTION_NAME", "orders"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "7"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/21/[7]abc"),
            ("AWS_REGION", "eu-central-1"),
        ])
        .await;
        for (key, expected) in [
            (key::CLOUD_PROVIDER, "aws"),
            (key::CLOUD_PLATFORM, "aws_lambda"),
            (key::CLOUD_REGION, "eu-central-1"),
            (key::FAAS_NAME, "orders"),
            (key::FAAS_VERSION, "7"),
            (key::FAAS_INSTANCE, "2026/11/21/[7]abc"),
            (key::FAAS_MAX_MEMORY, "134217728"),
            (key::SERVICE_VERSION, "1.2.3"),
            (key::TELEMETRY_SDK_LANGUAGE, "rust"),
        ] {
            assert_eq!(text(&resource, key).as_deref(), Some(expected), "{key}");
        }
    }
}
