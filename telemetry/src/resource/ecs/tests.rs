//! Tasks with complete, partial and late metadata.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const CONTAINER: &str = r#"{
    "DockerId": "158d1c8083dd49d6-3531612152",
    "DockerName": "api",
    "Image": "registry:5000/api:1@sha256:0123",
    "ImageID": "sha256:4567",
    "Labels": {},
    "ContainerARN": "arn:aws-cn:ecs:cn-north-1:123456789012:container/main/158d1c8083dd49d6/0206b271",
    "LogDriver": "awslogs",
    "LogOptions": {
        "awslogs-group": "/ecs/api",
        "awslogs-region": "cn-northwest-1",
        "awslogs-stream": "ecs/api/158d1c8083dd49d6"
    }
}"#;
const TASK: &str = r#"{
    "Cluster": "main",
    "TaskARN": "arn:aws-cn:ecs:cn-north-1:123456789012:task/main/158d1c8083dd49d6",
    "Family": "api",
    "Revision": "5",
    "LaunchType": "FARGATE",
    "AvailabilityZone": "cn-north-1a"
}"#;

/// Responds like the metadata endpoint, one connection after the other.
async fn metadata(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; 1024];
        let length = stream.read(&mut request).await.unwrap();
        let body = if request[..length].starts_with(b"GET /v4/x/task ") {
            TASK
        } else {
            CONTAINER
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let response = head + body;
        stream.write_all(response.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_task_is_described_by_its_metadata() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/v4/x", listener.local_addr().unwrap());
    let server = tokio::spawn(metadata(listener));
    let attributes = detect(&uri).await;
    server.abort();
    let text = |name: &str| {
        let found = attributes.iter().find(|found| found.key.as_str() == name);
        found.map(|found| found.value.to_string())
    };
    let group = "arn:aws-cn:logs:cn-northwest-1:123456789012:log-group:/ecs/api";
    let (group, stream) = (
        format!("[\"{group}:*\"]"),
        format!("[\"{group}:log-stream:ecs/api/158d1c8083dd49d6\"]"),
    );
    let container =
        "arn:aws-cn:ecs:cn-north-1:123456789012:container/main/158d1c8083dd49d6/0206b271";
    let expected = [
        (key::CLOUD_PROVIDER, "aws"),
        (key::CLOUD_PLATFORM, "aws_ecs"),
        (key::CLOUD_REGION, "cn-north-1"),
        (key::CLOUD_ACCOUNT_ID, "123456789012"),
        (key::CLOUD_AVAILABILITY_ZONE, "cn-north-1a"),
        (key::CLOUD_RESOURCE_ID, container),
        (key::CONTAINER_ID, "158d1c8083dd49d6-3531612152"),
        (key::CONTAINER_NAME, "api"),
        (key::CONTAINER_IMAGE_NAME, "registry:5000/api"),
        (key::CONTAINER_IMAGE_TAGS, "[\"1\"]"),
        (key::CONTAINER_IMAGE_ID, "sha256:4567"),
        (key::AWS_ECS_CONTAINER_ARN, container),
        (
            key::AWS_ECS_CLUSTER_ARN,
            "arn:aws-cn:ecs:cn-north-1:123456789012:cluster/main",
        ),
        (
            key::AWS_ECS_TASK_ARN,
            "arn:aws-cn:ecs:cn-north-1:123456789012:task/main/158d1c8083dd49d6",
        ),
        (key::AWS_ECS_TASK_ID, "158d1c8083dd49d6"),
        (key::AWS_ECS_TASK_FAMILY, "api"),
        (key::AWS_ECS_TASK_REVISION, "5"),
        (key::AWS_ECS_LAUNCHTYPE, "fargate"),
        (key::AWS_LOG_GROUP_NAMES, "[\"/ecs/api\"]"),
        (key::AWS_LOG_GROUP_ARNS, &group),
        (key::AWS_LOG_STREAM_NAMES, "[\"ecs/api/158d1c8083dd49d6\"]"),
        (key::AWS_LOG_STREAM_ARNS, &stream),
    ];
    for (key, expected) in expected {
        assert_eq!(text(key).as_deref(), Some(expected), "{key}");
    }
    assert_eq!(attributes.len(), expected.len());
}

#[test]
fn images_are_split_into_split_image() {
    for (image, expected) in [
        ("api", ("api", None)),
        ("api:1", ("api", Some("1"))),
        ("registry:5000/api", ("registry:5000/api", None)),
        ("registry:5000/api:1", ("registry:5000/api", Some("1"))),
        ("shop/api@sha256:0123", ("shop/api", None)),
    ] {
        assert_eq!(split_image(image), expected, "{image}");
    }
}

#[test]
fn a_container_with_another_log_driver_has_no_log_group() {
    let mut attributes = Vec::new();
    let container = CONTAINER.replace(
        "\"LogDriver\": \"awslogs\"",
        "\"LogDriver\": \"awsfirelens\"",
    );
    container_attributes(&mut attributes, serde_json::from_str(&container).unwrap());
    let keys: Vec<_> = attributes.iter().map(|found| found.key.as_str()).collect();
    assert!(keys.contains(&key::CONTAINER_ID));
    assert!(
        !keys.iter().any(|key| key.starts_with("aws.log.")),
        "{keys:?}"
    );
}

#[test]
fn an_invalid_arn_yields_no_attributes() {
    for text in [
        "",
        "arn",
        "arn:aws:ecs:eu-west-1",
        "arn:aws:ecs::1:task/x",
        "api",
    ] {
        assert!(Arn::parse(text).is_none(), "{text}");
    }
    let mut attributes = Vec::new();
    let task = r#"{"Cluster":"main","TaskARN":"task"}"#;
    task_attributes(&mut attributes, serde_json::from_str(task).unwrap());
    let found = attributes.iter().map(|found| found.key.as_str());
    assert_eq!(found.collect::<Vec<_>>(), [key::AWS_ECS_TASK_ARN]);
}

#[tokio::test]
async fn a_silent_endpoint_delays_the_start_only_by_its_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/v4/x", listener.local_addr().unwrap());
    let started = std::time::Instant::now();
    let attributes = detect(&uri).await;
    assert!(started.elapsed() < TIMEOUT * 2);
    assert_eq!(
        attributes.len(),
        2,
        "provider and platform are known anyway"
    );
}
