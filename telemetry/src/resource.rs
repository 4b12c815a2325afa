//! What produces the telemetry, as OpenTelemetry resource attributes.

use opentelemetry::{KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{ResourceDetector as _, TelemetryResourceDetector};
use opentelemetry_semantic_conventions::{SCHEMA_URL, attribute as key};

use crate::config::{Config, LambdaEnvironment, Platform};
use crate::telemetry::Service;

mod ecs;
mod instance;
mod kubernetes;

/// `cloud.provider` and `cloud.platform` have enumerated values, for which the conventions' crate
/// has no constants.
const AWS: &str = "aws";
const AWS_LAMBDA: &str = "aws_lambda";
const AWS_ECS: &str = "aws_ecs";

/// Deprecated, and so no constant that may be used.
const OLD_DEPLOYMENT_ENVIRONMENT: &str = "deployment.environment";

/// What Coralogix sorts telemetry by.
const CX_APPLICATION_NAME: &str = "cx.application.name";
const CX_SUBSYSTEM_NAME: &str = "cx.subsystem.name";

/// `faas.max_memory` is in bytes, Lambda's variable in MiB.
const BYTES_PER_MEGABYTE: i64 = 1024 * 1024;

/// Merges what is known, the most specific last: the program, the platform,
/// `OTEL_RESOURCE_ATTRIBUTES`, and variables for one attribute.
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
        Platform::Kubernetes(pod) => kubernetes::put(&mut attributes, pod),
        Platform::Elsewhere => {}
    }
    given_attributes(&mut attributes, config);
    // Of two attributes with the same key the builder keeps the later one.
    Resource::builder_empty()
        .with_schema_url(attributes, SCHEMA_URL)
        .build()
}

/// What the environment says of the resource in so many words.
fn given_attributes(attributes: &mut Vec<KeyValue>, config: &Config) {
    let given = &config.resource_attributes;
    let names = |name| given.iter().any(|(key, _)| key == name);
    for (key, value) in given {
        attributes.push(KeyValue::new(key.clone(), value.clone()));
        // What this attribute was called until 2024 is still in many manifests, and the Collector's
        // metrics go by the new name. The old one stays beside it: somebody may search for it.
        if key == OLD_DEPLOYMENT_ENVIRONMENT && !names(key::DEPLOYMENT_ENVIRONMENT_NAME) {
            put(attributes, key::DEPLOYMENT_ENVIRONMENT_NAME, value.clone());
        }
    }
    let found = [
        (key::SERVICE_NAME, config.service_name.clone()),
        (CX_APPLICATION_NAME, config.coralogix.application.clone()),
        (CX_SUBSYSTEM_NAME, config.coralogix.subsystem.clone()),
    ];
    put_found(attributes, found);
    if !names(key::SERVICE_INSTANCE_ID) {
        let id = instance::id(attributes);
        put(attributes, key::SERVICE_INSTANCE_ID, id);
    }
}

fn put_found<const N: usize>(
    attributes: &mut Vec<KeyValue>,
    found: [(&'static str, Option<String>); N],
) {
    for (key, value) in found {
        if let Some(value) = value {
            put(attributes, key, value);
        }
    }
}

fn put_list(attributes: &mut Vec<KeyValue>, key: &'static str, only: String) {
    let list = vec![StringValue::from(only)];
    put(attributes, key, Value::Array(list.into()));
}

fn put(attributes: &mut Vec<KeyValue>, key: &'static str, value: impl Into<Value>) {
    attributes.push(KeyValue::new(key, value));
}

/// The attributes that the conventions ask of a Lambda resource; `cloud.resource_id` is known only
/// with an invocation.
fn lambda_attributes(attributes: &mut Vec<KeyValue>, lambda: &LambdaEnvironment) {
    put(attributes, key::CLOUD_PROVIDER, AWS);
    put(attributes, key::CLOUD_PLATFORM, AWS_LAMBDA);
    put(attributes, key::FAAS_NAME, lambda.function_name.clone());
    put(attributes, key::SERVICE_NAME, lambda.function_name.clone());
    let optional = [
        (key::CLOUD_REGION, lambda.region.clone()),
        (key::FAAS_VERSION, lambda.function_version.clone()),
        (key::FAAS_INSTANCE, lambda.log_stream.clone()),
    ];
    put_found(attributes, optional);
    if let Some(group) = &lambda.log_group {
        put_list(attributes, key::AWS_LOG_GROUP_NAMES, group.clone());
    }
    if let Some(memory) = lambda.memory_megabytes {
        let bytes = memory.saturating_mul(BYTES_PER_MEGABYTE);
        put(attributes, key::FAAS_MAX_MEMORY, bytes);
    }
}

#[cfg(test)]
mod tests;
