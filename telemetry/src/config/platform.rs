//! The platform of the process, from the variables that it or its manifests set.

use super::reader::VariableReader;

/// The platform of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Platform {
    Lambda(LambdaEnvironment),
    /// ECS, with the URL of the task metadata endpoint.
    Ecs(String),
    Kubernetes(KubernetesEnvironment),
    Other,
}

/// Variables that Lambda sets for every function (Lambda developer guide, "Defined runtime
/// environment variables").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LambdaEnvironment {
    pub(crate) function_name: String,
    pub(crate) function_version: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) log_stream: Option<String>,
    pub(crate) log_group: Option<String>,
    pub(crate) memory_megabytes: Option<i64>,
}

/// Variables with names of a pod and of the objects that it belongs to, which manifests usually set
/// through the downward API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KubernetesEnvironment {
    pub(crate) cluster_name: Option<String>,
    pub(crate) node_name: Option<String>,
    pub(crate) namespace_name: Option<String>,
    pub(crate) deployment_name: Option<String>,
    pub(crate) pod_name: Option<String>,
    pub(crate) pod_uid: Option<String>,
    pub(crate) pod_ip: Option<String>,
    pub(crate) container_name: Option<String>,
}

pub(super) fn read(reader: &mut VariableReader<'_>) -> Platform {
    if let Some(function_name) = reader.text("AWS_LAMBDA_FUNCTION_NAME") {
        return Platform::Lambda(LambdaEnvironment {
            function_name,
            function_version: reader.text("AWS_LAMBDA_FUNCTION_VERSION"),
            region: reader.text("AWS_REGION"),
            log_stream: reader.text("AWS_LAMBDA_LOG_STREAM_NAME"),
            log_group: reader.text("AWS_LAMBDA_LOG_GROUP_NAME"),
            memory_megabytes: reader.number(
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                "an integer, in megabytes",
            ),
        });
    }
    if let Some(uri) = reader.text("ECS_CONTAINER_METADATA_URI_V4") {
        return Platform::Ecs(uri);
    }
    match kubernetes(reader) {
        Some(environment) => Platform::Kubernetes(environment),
        None => Platform::Other,
    }
}

/// Reads the variables that the OpenTelemetry Operator injects for the pod and the node
/// (`OTEL_RESOURCE_ATTRIBUTES_…`, here also for other objects), those that charts name after the
/// attribute (`K8S_…`), and short names. A short name refers to a pod only if Kubernetes' own
/// variable is set as well.
fn kubernetes(reader: &VariableReader<'_>) -> Option<KubernetesEnvironment> {
    let is_pod = reader.text("KUBERNETES_SERVICE_HOST").is_some();
    let first = |specific: &[&str], short: &[&str]| {
        let short = if is_pod { short } else { &[] };
        let mut names = specific.iter().chain(short);
        names.find_map(|name| reader.text(name))
    };
    let environment = KubernetesEnvironment {
        cluster_name: first(&["K8S_CLUSTER_NAME"], &["CLUSTER_NAME"]),
        node_name: first(
            &["OTEL_RESOURCE_ATTRIBUTES_NODE_NAME", "K8S_NODE_NAME"],
            &["NODE_NAME"],
        ),
        namespace_name: first(
            &[
                "OTEL_RESOURCE_ATTRIBUTES_POD_NAMESPACE",
                "K8S_NAMESPACE_NAME",
                "K8S_NAMESPACE",
            ],
            &["POD_NAMESPACE"],
        ),
        deployment_name: first(
            &[
                "OTEL_RESOURCE_ATTRIBUTES_DEPLOYMENT_NAME",
                "K8S_DEPLOYMENT_NAME",
            ],
            &[],
        ),
        // The host name of a pod is its name, unless its manifest sets another one.
        pod_name: first(
            &["OTEL_RESOURCE_ATTRIBUTES_POD_NAME", "K8S_POD_NAME"],
            &["POD_NAME", "HOSTNAME"],
        ),
        pod_uid: first(
            &["OTEL_RESOURCE_ATTRIBUTES_POD_UID", "K8S_POD_UID"],
            &["POD_UID"],
        ),
        pod_ip: first(
            &["OTEL_RESOURCE_ATTRIBUTES_POD_IP", "K8S_POD_IP"],
            &["POD_IP"],
        ),
        container_name: first(
            &[
                "OTEL_RESOURCE_ATTRIBUTES_CONTAINER_NAME",
                "K8S_CONTAINER_NAME",
            ],
            &["CONTAINER_NAME"],
        ),
    };
    (is_pod || environment != KubernetesEnvironment::default()).then_some(environment)
}
