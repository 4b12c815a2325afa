//! Resource of an ECS task, from the task metadata endpoint, version 4 (Amazon ECS developer guide,
//! "Task metadata available for Amazon ECS tasks").

use std::time::Duration;

use http::{HeaderMap, Method};
use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute as key;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::warn;

use super::{AWS, AWS_ECS, put, put_list, put_optional};
use crate::config::{DefaultScheme, Endpoint};
use crate::transport::client::{BufList, HttpClient};

/// Time limit for both requests. The endpoint is on the same machine, and a task without these
/// attributes is better than a task that starts late.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The log driver that writes to CloudWatch Logs.
const AWSLOGS: &str = "awslogs";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    docker_id: Option<String>,
    docker_name: Option<String>,
    image: Option<String>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    #[serde(rename = "ContainerARN")]
    container_arn: Option<String>,
    log_driver: Option<String>,
    log_options: Option<LogOptions>,
}

/// Options of the `awslogs` driver, named as in a task definition.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct LogOptions {
    awslogs_group: Option<String>,
    awslogs_region: Option<String>,
    awslogs_stream: Option<String>,
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
    let (container, task) = tokio::join!(
        get::<Container>(metadata_uri, "", deadline),
        get::<Task>(metadata_uri, "/task", deadline),
    );
    if container.is_none() || task.is_none() {
        warn!(
            "unexpected response from ECS_CONTAINER_METADATA_URI_V4: attributes of the task are missing from the resource"
        );
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
    let client = HttpClient::new(endpoint.join(suffix), HeaderMap::new());
    let response = client
        .send(Method::GET, &[], BufList::default(), deadline)
        .await
        .ok()?;
    if !response.status.is_success() {
        return None;
    }
    serde_json::from_slice(&response.body.ok()?).ok()
}

fn container_attributes(attributes: &mut Vec<KeyValue>, container: Container) {
    let image = container.image.as_deref().map(split_image);
    if let Some((_, Some(tag))) = image {
        put_list(attributes, key::CONTAINER_IMAGE_TAGS, tag.to_owned());
    }
    let arn = container.container_arn.as_deref().and_then(Arn::parse);
    if container.log_driver.as_deref() == Some(AWSLOGS) {
        log_attributes(attributes, container.log_options, arn.as_ref());
    }
    let optional = [
        (key::CONTAINER_ID, container.docker_id),
        (key::CONTAINER_NAME, container.docker_name),
        (
            key::CONTAINER_IMAGE_NAME,
            image.map(|(name, _)| name.to_owned()),
        ),
        (key::CONTAINER_IMAGE_ID, container.image_id),
        // The resource is the container and not its task, as in the detectors of other languages.
        (key::CLOUD_RESOURCE_ID, container.container_arn.clone()),
        (key::AWS_ECS_CONTAINER_ARN, container.container_arn),
    ];
    put_optional(attributes, optional);
}

/// Adds the log groups and streams of the container. Their account is that of the container.
fn log_attributes(
    attributes: &mut Vec<KeyValue>,
    options: Option<LogOptions>,
    container: Option<&Arn<'_>>,
) {
    let Some(options) = options else {
        return;
    };
    let Some(group) = options.awslogs_group else {
        return;
    };
    let group_arn = container.map(|container| {
        let region = options.awslogs_region.as_deref();
        let region = region.unwrap_or(container.region);
        let (partition, account) = (container.partition, container.account);
        format!("arn:{partition}:logs:{region}:{account}:log-group:{group}")
    });
    put_list(attributes, key::AWS_LOG_GROUP_NAMES, group);
    if let Some(arn) = &group_arn {
        put_list(attributes, key::AWS_LOG_GROUP_ARNS, format!("{arn}:*"));
    }
    if let Some(stream) = options.awslogs_stream {
        if let Some(arn) = &group_arn {
            let arn = format!("{arn}:log-stream:{stream}");
            put_list(attributes, key::AWS_LOG_STREAM_ARNS, arn);
        }
        put_list(attributes, key::AWS_LOG_STREAM_NAMES, stream);
    }
}

fn task_attributes(attributes: &mut Vec<KeyValue>, task: Task) {
    let arn = task.task_arn.as_deref().and_then(Arn::parse);
    // The Amazon ECS agent returns the name or the ARN, depending on its version and the launch
    // type.
    let cluster_arn = task.cluster.and_then(|cluster| match &arn {
        _ if cluster.starts_with("arn:") => Some(cluster),
        Some(arn) => Some(arn.cluster_arn(&cluster)),
        None => None,
    });
    let optional = [
        (
            key::CLOUD_REGION,
            arn.as_ref().map(|arn| arn.region.to_owned()),
        ),
        (
            key::CLOUD_ACCOUNT_ID,
            arn.as_ref().map(|arn| arn.account.to_owned()),
        ),
        (
            key::AWS_ECS_TASK_ID,
            arn.as_ref().and_then(Arn::resource_id).map(str::to_owned),
        ),
        (key::CLOUD_AVAILABILITY_ZONE, task.availability_zone),
        (key::AWS_ECS_CLUSTER_ARN, cluster_arn),
        (key::AWS_ECS_TASK_FAMILY, task.family),
        (key::AWS_ECS_TASK_REVISION, task.revision),
        (
            key::AWS_ECS_LAUNCHTYPE,
            task.launch_type.map(|kind| kind.to_lowercase()),
        ),
    ];
    put_optional(attributes, optional);
    put_optional(attributes, [(key::AWS_ECS_TASK_ARN, task.task_arn)]);
}

/// Splits `registry:port/name:tag@digest` into name and tag. A colon before the last slash belongs
/// to the port.
fn split_image(image: &str) -> (&str, Option<&str>) {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    }
}

/// `arn:partition:service:region:account:resource`.
struct Arn<'a> {
    partition: &'a str,
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Returns `None` if a part is missing.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let (arn, partition) = (parts.next()?, parts.next()?);
        let (_service, region) = (parts.next()?, parts.next()?);
        let (account, resource) = (parts.next()?, parts.next()?);
        let has_all = arn == "arn"
            && [partition, region, account, resource]
                .iter()
                .all(|part| !part.is_empty());
        has_all.then_some(Self {
            partition,
            region,
            account,
            resource,
        })
    }

    /// Returns the ARN of a cluster with the task's partition, region and account.
    fn cluster_arn(&self, name: &str) -> String {
        let Self {
            partition,
            region,
            account,
            ..
        } = self;
        format!("arn:{partition}:ecs:{region}:{account}:cluster/{name}")
    }

    /// Returns the part of the resource after the last slash.
    fn resource_id(&self) -> Option<&'a str> {
        self.resource.rsplit_once('/').map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests;
