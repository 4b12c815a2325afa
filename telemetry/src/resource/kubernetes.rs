//! A pod, as far as its manifest tells it about itself. The Collector's `k8sattributes` processor
//! knows the rest.

use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute as key;

use super::put_found;
use crate::config::KubernetesEnvironment;

pub(super) fn put(attributes: &mut Vec<KeyValue>, pod: &KubernetesEnvironment) {
    let pod = pod.clone();
    let found = [
        (key::K8S_CLUSTER_NAME, pod.cluster_name),
        (key::K8S_NODE_NAME, pod.node_name),
        (key::K8S_NAMESPACE_NAME, pod.namespace_name),
        (key::K8S_DEPLOYMENT_NAME, pod.deployment_name),
        (key::K8S_POD_NAME, pod.pod_name),
        (key::K8S_POD_UID, pod.pod_uid),
        (key::K8S_POD_IP, pod.pod_ip),
        (key::K8S_CONTAINER_NAME, pod.container_name),
    ];
    put_found(attributes, found);
}
