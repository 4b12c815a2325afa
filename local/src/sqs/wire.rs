//! The JSON of every action. No logic here.
//!
//! Fields that AWS requires are optional all the same, so that leaving one out is answered with
//! `MissingParameter` and its name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(in crate::sqs) mod messages;

/// A request that only names a queue: `DeleteQueue`, `PurgeQueue`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct QueueRequest {
    pub(in crate::sqs) queue_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct CreateQueueRequest {
    pub(in crate::sqs) queue_name: Option<String>,
    pub(in crate::sqs) attributes: Option<BTreeMap<String, String>>,
    /// AWS's model spells this one in lower case.
    #[serde(rename = "tags", alias = "Tags")]
    pub(in crate::sqs) tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct GetQueueUrlRequest {
    pub(in crate::sqs) queue_name: Option<String>,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    pub(in crate::sqs) queue_owner_aws_account_id: Option<String>,
}

/// The answer to `CreateQueue` and `GetQueueUrl`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct QueueUrlResponse {
    pub(in crate::sqs) queue_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct ListQueuesRequest {
    pub(in crate::sqs) queue_name_prefix: Option<String>,
    pub(in crate::sqs) max_results: Option<i64>,
    pub(in crate::sqs) next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct ListQueuesResponse {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::sqs) queue_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::sqs) next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct GetQueueAttributesRequest {
    pub(in crate::sqs) queue_url: Option<String>,
    pub(in crate::sqs) attribute_names: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct GetQueueAttributesResponse {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::sqs) attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct SetQueueAttributesRequest {
    pub(in crate::sqs) queue_url: Option<String>,
    pub(in crate::sqs) attributes: Option<BTreeMap<String, String>>,
}

/// The answer of actions that have nothing to say.
#[derive(Serialize)]
pub(in crate::sqs) struct EmptyResponse {}

/// The answer of every batch action. AWS leaves `Failed` out when nothing failed, and there is code
/// that only looks whether it is there.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct BatchResponse<T> {
    pub(in crate::sqs) successful: Vec<T>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::sqs) failed: Vec<BatchResultErrorEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct BatchResultErrorEntry {
    pub(in crate::sqs) id: String,
    pub(in crate::sqs) sender_fault: bool,
    pub(in crate::sqs) code: &'static str,
    pub(in crate::sqs) message: String,
}

/// The body of a refusal.
#[derive(Serialize)]
pub(in crate::sqs) struct ErrorResponse {
    #[serde(rename = "__type")]
    pub(in crate::sqs) shape: &'static str,
    pub(in crate::sqs) message: String,
}
