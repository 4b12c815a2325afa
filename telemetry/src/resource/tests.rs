//! The resource for given environment variables.

use super::*;

const SERVICE: ServiceInfo = ServiceInfo {
    name: "in-code",
    version: Some("1.2.3"),
};

async fn resource(variables: &[(&str, &str)]) -> Resource {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let (config, problems) = TelemetryConfig::from_lookup(&lookup);
    assert!(problems.is_empty());
    detect(&config, SERVICE, &|_| {}).await
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
async fn a_function_has_the_attributes_of_the_conventions() {
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

#[tokio::test]
async fn a_pod_has_the_attributes_that_its_manifest_injects() {
    let cluster = ("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    for variables in [
        [
            ("OTEL_RESOURCE_ATTRIBUTES_POD_NAME", "api-1"),
            ("OTEL_RESOURCE_ATTRIBUTES_POD_UID", "u-1"),
            ("OTEL_RESOURCE_ATTRIBUTES_NODE_NAME", "node-1"),
            ("OTEL_RESOURCE_ATTRIBUTES_POD_NAMESPACE", "shop"),
            ("OTEL_RESOURCE_ATTRIBUTES_CONTAINER_NAME", "api"),
        ],
        [
            ("K8S_POD_NAME", "api-1"),
            ("K8S_POD_UID", "u-1"),
            ("K8S_NODE_NAME", "node-1"),
            ("K8S_NAMESPACE_NAME", "shop"),
            ("K8S_CONTAINER_NAME", "api"),
        ],
        [
            ("HOSTNAME", "api-1"),
            ("POD_UID", "u-1"),
            ("NODE_NAME", "node-1"),
            ("POD_NAMESPACE", "shop"),
            ("CONTAINER_NAME", "api"),
        ],
    ] {
        let resource = resource(&[&variables[..], &[cluster]].concat()).await;
        for (key, expected) in [
            (key::K8S_POD_NAME, "api-1"),
            (key::K8S_POD_UID, "u-1"),
            (key::K8S_NODE_NAME, "node-1"),
            (key::K8S_NAMESPACE_NAME, "shop"),
            (key::K8S_CONTAINER_NAME, "api"),
            (key::SERVICE_INSTANCE_ID, "shop.api-1.api"),
        ] {
            let found = text(&resource, key);
            assert_eq!(found.as_deref(), Some(expected), "{key} of {variables:?}");
        }
    }
}

#[tokio::test]
async fn a_host_outside_kubernetes_has_no_attributes_of_a_pod() {
    let elsewhere = [
        ("HOSTNAME", "laptop"),
        ("NODE_NAME", "n"),
        ("POD_NAME", "p"),
    ];
    let resource = resource(&elsewhere).await;
    for key in [key::K8S_POD_NAME, key::K8S_NODE_NAME] {
        assert_eq!(text(&resource, key), None, "{key}");
    }
}

#[tokio::test]
async fn the_deprecated_key_of_the_deployment_environment_is_accepted() {
    for (given, expected) in [
        ("deployment.environment=staging", "staging"),
        ("deployment.environment.name=prod", "prod"),
        (
            "deployment.environment.name=prod,deployment.environment=staging",
            "prod",
        ),
    ] {
        let resource = resource(&[("OTEL_RESOURCE_ATTRIBUTES", given)]).await;
        let name = text(&resource, key::DEPLOYMENT_ENVIRONMENT_NAME);
        assert_eq!(name.as_deref(), Some(expected), "{given}");
        let old = text(&resource, DEPRECATED_DEPLOYMENT_ENVIRONMENT);
        assert_eq!(old.is_some(), given.contains("environment="), "{given}");
    }
}

#[tokio::test]
async fn variables_set_the_coralogix_application_and_subsystem() {
    let listed = (
        "OTEL_RESOURCE_ATTRIBUTES",
        "cx.application.name=listed,cx.subsystem.name=listed",
    );
    for (variables, expected) in [
        (&[][..], (None, None)),
        (&[listed], (Some("listed"), Some("listed"))),
        (
            &[("CX_APPLICATION", "shop"), ("CX_SUBSYSTEM", "orders")],
            (Some("shop"), Some("orders")),
        ),
        (
            &[
                ("CX_APPLICATION_NAME", "shop"),
                ("CX_SUBSYSTEM_NAME", "api"),
            ],
            (Some("shop"), Some("api")),
        ),
        (
            &[
                listed,
                ("CX_APPLICATION", "shop"),
                ("CX_APPLICATION_NAME", "other"),
            ],
            (Some("shop"), Some("listed")),
        ),
    ] {
        let resource = resource(variables).await;
        let found = [CX_APPLICATION_NAME, CX_SUBSYSTEM_NAME].map(|key| text(&resource, key));
        let expected = <[_; 2]>::from(expected).map(|name| name.map(str::to_owned));
        assert_eq!(found, expected, "{variables:?}");
    }
}

#[tokio::test]
async fn the_instance_id_of_the_environment_overrides_that_of_the_platform() {
    let lambda = [
        ("AWS_LAMBDA_FUNCTION_NAME", "orders"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/21/[7]abc"),
    ];
    let id = async |variables: &[_]| text(&resource(variables).await, key::SERVICE_INSTANCE_ID);
    assert_eq!(id(&lambda).await.as_deref(), Some("2026/11/21/[7]abc"));
    let given = ("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=mine");
    let all = [lambda[0], lambda[1], given];
    assert_eq!(id(&all).await.as_deref(), Some("mine"));
    assert_ne!(id(&[]).await, id(&[]).await);
}
