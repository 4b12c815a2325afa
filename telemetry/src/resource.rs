//! Detection of the OpenTelemetry resource: the process that produces the telemetry.

use opentelemetry::{Key, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{ResourceDetector as _, TelemetryResourceDetector};
use opentelemetry_semantic_conventions::{SCHEMA_URL, attribute as key};

use crate::config::{KubernetesEnvironment, LambdaEnvironment, Platform, TelemetryConfig};
use crate::export::Dimensions;

mod ecs;
mod instance;

/// Values of `cloud.provider` and `cloud.platform`. The crate of semantic conventions has no
/// constants for them.
const AWS: &str = "aws";
const AWS_LAMBDA: &str = "aws_lambda";
const AWS_ECS: &str = "aws_ecs";

/// Start of `service.name` where it is not known (resource conventions).
const UNKNOWN_SERVICE: &str = "unknown_service";

/// Deprecated attribute, whose constant must not be used.
const DEPRECATED_DEPLOYMENT_ENVIRONMENT: &str = "deployment.environment";

/// Attributes by which Coralogix groups telemetry.
const CX_APPLICATION_NAME: &str = "cx.application.name";
const CX_SUBSYSTEM_NAME: &str = "cx.subsystem.name";

/// Bytes per MiB: `faas.max_memory` is in bytes and Lambda's variable in MiB.
const BYTES_PER_MEBIBYTE: i64 = 1024 * 1024;

/// The service's name and version, for processes whose environment does not set them.
///
/// ```
/// use baton_telemetry::ServiceInfo;
///
/// const SERVICE: ServiceInfo = ServiceInfo {
///     name: "orders",
///     version: Some(env!("CARGO_PKG_VERSION")),
/// };
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ServiceInfo {
    /// `service.name`, unless Lambda, `OTEL_RESOURCE_ATTRIBUTES` or `OTEL_SERVICE_NAME` sets
    /// another one.
    pub name: &'static str,
    /// `service.version`, usually `Some(env!("CARGO_PKG_VERSION"))`.
    pub version: Option<&'static str>,
}

/// Merges the known attributes. In ascending priority: [`ServiceInfo`], the platform, detectors
/// that the program provides, `OTEL_RESOURCE_ATTRIBUTES`, and variables for one attribute.
/// `add_detected` adds what the detectors have found.
pub(crate) async fn detect(
    config: &TelemetryConfig,
    service: ServiceInfo,
    add_detected: &(dyn Fn(&mut Vec<KeyValue>) + Sync),
) -> Resource {
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
        Platform::Kubernetes(pod) => kubernetes_attributes(&mut attributes, pod),
        Platform::Other => {}
    }
    add_detected(&mut attributes);
    configured_attributes(&mut attributes, config);
    // Of two attributes with the same key, the builder keeps the later one.
    Resource::builder_empty()
        .with_schema_url(attributes, SCHEMA_URL)
        .build()
}

/// Returns the service and its environment from the environment variables, for a program whose
/// resource is not known.
pub(crate) fn configured_dimensions(config: &TelemetryConfig) -> Dimensions {
    let attribute = |wanted| {
        let mut attributes = config.resource_attributes.iter();
        let (_, value) = attributes.find(|(name, _)| name == wanted)?;
        Some(value.clone())
    };
    let service = config.service_name.clone();
    let platform = match &config.platform {
        Platform::Lambda(lambda) => lambda.function_name.as_str(),
        _ => UNKNOWN_SERVICE,
    };
    Dimensions {
        service: service
            .or_else(|| attribute(key::SERVICE_NAME))
            .unwrap_or_else(|| platform.to_owned()),
        environment: attribute(key::DEPLOYMENT_ENVIRONMENT_NAME)
            .or_else(|| attribute(DEPRECATED_DEPLOYMENT_ENVIRONMENT)),
    }
}

/// Returns the attributes of a resource that the program provides. The SDK's default name of a
/// service, which `Resource::builder` adds, must not replace the function's name.
pub(crate) fn provided_attributes(resource: &Resource) -> impl Iterator<Item = KeyValue> {
    let is_provided = |(key, value): &(&Key, &Value)| {
        key.as_str() != key::SERVICE_NAME || !value.as_str().starts_with(UNKNOWN_SERVICE)
    };
    let attributes = resource.iter().filter(is_provided);
    attributes.map(|(key, value)| KeyValue::new(key.clone(), value.clone()))
}

/// Merges a resource that the program provides into the detected one. Its attributes take
/// precedence. Without a common schema, the result has none, as the specification requires.
pub(crate) fn merge(detected: &Resource, provided: &Resource) -> Resource {
    let attributes = detected.iter();
    let attributes = attributes.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let attributes = attributes.chain(provided_attributes(provided));
    let builder = Resource::builder_empty();
    let schema_url = match (detected.schema_url(), provided.schema_url()) {
        (Some(detected), Some(provided)) if detected != provided => None,
        (detected, provided) => detected.or(provided),
    };
    match schema_url {
        Some(url) => builder.with_schema_url(attributes, url.to_owned()).build(),
        None => builder.with_attributes(attributes).build(),
    }
}

/// Adds the attributes that the environment sets explicitly, and the instance id.
fn configured_attributes(attributes: &mut Vec<KeyValue>, config: &TelemetryConfig) {
    let configured = &config.resource_attributes;
    let is_configured = |name| configured.iter().any(|(key, _)| key == name);
    for (key, value) in configured {
        attributes.push(KeyValue::new(key.clone(), value.clone()));
        // Many manifests still use the name that this attribute had before 2024, and the
        // Collector's metrics use the new one. The old one is kept, because queries may use it.
        if key == DEPRECATED_DEPLOYMENT_ENVIRONMENT
            && !is_configured(key::DEPLOYMENT_ENVIRONMENT_NAME)
        {
            put(attributes, key::DEPLOYMENT_ENVIRONMENT_NAME, value.clone());
        }
    }
    let optional = [
        (key::SERVICE_NAME, config.service_name.clone()),
        (CX_APPLICATION_NAME, config.coralogix.application.clone()),
        (CX_SUBSYSTEM_NAME, config.coralogix.subsystem.clone()),
    ];
    put_optional(attributes, optional);
    let is_known = |attribute: &KeyValue| attribute.key.as_str() == key::SERVICE_INSTANCE_ID;
    if !attributes.iter().any(is_known) {
        let id = instance::id(attributes);
        put(attributes, key::SERVICE_INSTANCE_ID, id);
    }
}

fn put_optional<const N: usize>(
    attributes: &mut Vec<KeyValue>,
    optional: [(&'static str, Option<String>); N],
) {
    for (key, value) in optional {
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

/// Adds the attributes that the conventions define for Lambda. `cloud.resource_id` is known only in
/// an invocation.
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
    put_optional(attributes, optional);
    if let Some(group) = &lambda.log_group {
        put_list(attributes, key::AWS_LOG_GROUP_NAMES, group.clone());
    }
    if let Some(memory) = lambda.memory_megabytes {
        let bytes = memory.saturating_mul(BYTES_PER_MEBIBYTE);
        put(attributes, key::FAAS_MAX_MEMORY, bytes);
    }
}

/// Adds the attributes of a pod that its manifest provides. The Collector's `k8sattributes`
/// processor knows the rest.
fn kubernetes_attributes(attributes: &mut Vec<KeyValue>, pod: &KubernetesEnvironment) {
    let pod = pod.clone();
    let optional = [
        (key::K8S_CLUSTER_NAME, pod.cluster_name),
        (key::K8S_NODE_NAME, pod.node_name),
        (key::K8S_NAMESPACE_NAME, pod.namespace_name),
        (key::K8S_DEPLOYMENT_NAME, pod.deployment_name),
        (key::K8S_POD_NAME, pod.pod_name),
        (key::K8S_POD_UID, pod.pod_uid),
        (key::K8S_POD_IP, pod.pod_ip),
        (key::K8S_CONTAINER_NAME, pod.container_name),
    ];
    put_optional(attributes, optional);
}

#[cfg(test)]
mod tests;
