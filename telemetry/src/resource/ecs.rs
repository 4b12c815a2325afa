//! The task metadata endpoint, version 4 (Amazon ECS developer guide, "Task metadata available for Amazon ECS tasks").

use super::{AWS, AWS_ECS, put};
use crate::endpoint::{DefaultScheme, Endpoint};
use crate::http::{Client, Frames};
use http::{HeaderMap, Method};
use opentelemetry::{KeyValue, StringValue, Value};
use opentelemetry_semantic_conventions::attribute as key;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::Instant;
use tracing::warn;

/// The endpoint is on the same machine. A task starts without these attributes rather than late.
const TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    docker_id: Option<String>,
    docker_name: Option<String>,
    image: Option<String>,
    #[serde(rename = "ContainerARN")]
    container_arn: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Task {
    cluster: Option<String>,
    #[serde(rename = "TaskARN")]
    task_arn: Option<String>,
    family: Option<String>,
    revision: Option<String>,
    launch_type: Option<String>,
    availability_zone: Option<String>,
}

pub(super) async fn detect(metadata_uri: &str) -> Vec<KeyValue> {
    let deadline = Instant::now() + TIMEOUT;
    let container = get::<Container>(metadata_uri, "", deadline).await;
    let task = get::<Task>(metadata_uri, "/task", deadline).await;
    if container.is_none() || task.is_none() {
        warn!("ECS task metadata could not be read; the resource describes the task in part");
    }
    let mut attributes = Vec::new();
    put(&mut attributes, key::CLOUD_PROVIDER, AWS);
    put(&mut attributes, key::CLOUD_PLATFORM, AWS_ECS);
    if let Some(container) = container {
        container_attributes(&mut attributes, container);
    }
    if let Some(task) = task {
        task_attributes(&mut attributes, task);
    }
    attributes
}

async fn get<T: DeserializeOwned>(
    metadata_uri: &str,
    suffix: &str,
    deadline: Instant,
) -> Option<T> {
    let endpoint = Endpoint::parse(metadata_uri, DefaultScheme::Http).ok()?;
    let client = Client::new(endpoint.join(suffix), HeaderMap::new());
    let response = client
        .send(Method::GET, &[], Frames::default(), deadline)
        .await
        .ok()?;
    if !response.status.is_success() {
        return None;
    }
    serde_json::from_slice(&response.body).ok()
}

fn container_attributes(attributes: &mut Vec<KeyValue>, container: Container) {
    let image = container.image.as_deref().map(name_and_tag);
    if let Some((_, Some(tag))) = image {
        let tags = vec![StringValue::from(tag.to_owned())];
        put(
            attributes,
            key::CONTAINER_IMAGE_TAGS,
            Value::Array(tags.into()),
        );
    }
    let found = [
        (key::CONTAINER_ID, container.docker_id),
        (key::CONTAINER_NAME, container.docker_name),
        (
            key::CONTAINER_IMAGE_NAME,
            image.map(|(name, _)| name.to_owned()),
        ),
        (key::AWS_ECS_CONTAINER_ARN, container.container_arn),
    ];
    put_found(attributes, found);
}

fn task_attributes(attributes: &mut Vec<KeyValue>, task: Task) {
    let arn = task.task_arn.as_deref().unwrap_or_default();
    let (region, account) = (arn_part(arn, 3), arn_part(arn, 4));
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let cluster_arn = task.cluster.as_deref().and_then(|cluster| {
        if cluster.starts_with("arn:") {
            return Some(cluster.to_owned());
        }
        Some(format!(
            "arn:aws:ecs:{}:{}:cluster/{cluster}",
            region?, account?
        ))
    });
    let task_id = arn.rsplit_once('/').map(|(_, id)| id);
    let found = [
        (key::CLOUD_REGION, owned(region)),
        (key::CLOUD_ACCOUNT_ID, owned(account)),
        (key::CLOUD_AVAILABILITY_ZONE, task.availability_zone),
        (key::CLOUD_RESOURCE_ID, task.task_arn.clone()),
        (key::AWS_ECS_CLUSTER_ARN, cluster_arn),
        (key::AWS_ECS_TASK_ID, owned(task_id)),
        (key::AWS_ECS_TASK_FAMILY, task.family),
        (key::AWS_ECS_TASK_REVISION, task.revision),
        (
            key::AWS_ECS_LAUNCHTYPE,
            task.launch_type.map(|kind| kind.to_lowercase()),
        ),
    ];
    put_found(attributes, found);
    put_found(attributes, [(key::AWS_ECS_TASK_ARN, task.task_arn)]);
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

/// `registry:port/name:tag`: only what comes after the last slash can be a tag.
fn name_and_tag(image: &str) -> (&str, Option<&str>) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    }
}

/// A part of `arn:partition:service:region:account:resource`, counted from zero.
fn arn_part(arn: &str, index: usize) -> Option<&str> {
    arn.split(':').nth(index).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    const CONTAINER: &str = r#"{"DockerId":"ea32192c8553fbff","DockerName":"api","Image":"registry:5000/api:1","Labels":{}}"#;
    const TASK: &str = r#"{"Cluster":"main","TaskARN":"arn:aws:ecs:eu-west-1:123456789012:task/main/158d1c8083dd49d6","Family":"api","Revision":"5","LaunchType":"FARGATE"}"#;

    /// Answers as the metadata endpoint does, one connection after the other.
    async fn metadata(listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            let body = match request[..length].starts_with(b"GET /v4/x/task ") {
                true => TASK,
                false => CONTAINER,
            };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let answer = head + body;
            stream.write_all(answer.as_bytes()).await.unwrap();
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
        for (key, expected) in [
            (key::CLOUD_PLATFORM, "aws_ecs"),
            (key::CLOUD_REGION, "eu-west-1"),
            (key::CLOUD_ACCOUNT_ID, "123456789012"),
            (key::CONTAINER_ID, "ea32192c8553fbff"),
            (key::CONTAINER_IMAGE_NAME, "registry:5000/api"),
            (key::CONTAINER_IMAGE_TAGS, "[\"1\"]"),
            (
                key::AWS_ECS_CLUSTER_ARN,
                "arn:aws:ecs:eu-west-1:123456789012:cluster/main",
            ),
            (key::AWS_ECS_TASK_ID, "158d1c8083dd49d6"),
            (key::AWS_ECS_LAUNCHTYPE, "fargate"),
        ] {
            assert_eq!(text(key).as_deref(), Some(expected), "{key}");
        }
    }

    #[tokio::test]
    async fn a_silent_endpoint_costs_no_more_than_its_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/v4/x", listener.local_addr().unwrap());
        let started = std::time::Instant::now();
        let attributes = detect(&uri).await;
        assert!(started.elapsed() < TIMEOUT * 2);
        assert_eq!(
            attributes.len(),
            2,
            "provider and platform are known all the same"
        );
    }
}
