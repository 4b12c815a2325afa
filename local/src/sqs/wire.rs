//! JSON types of all actions, without logic.
//!
//! Fields that AWS requires are optional here, so that a missing one leads to `MissingParameter`
//! with its name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(in crate::sqs) mod messages;

/// A request that only names a queue: `DeleteQueue` or `PurgeQueue`.
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
    /// AWS's model spells this name in lower case.
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

/// Response of `CreateQueue` and `GetQueueUrl`.
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

/// Response without content.
#[derive(Serialize)]
pub(in crate::sqs) struct EmptyResponse {}

/// Response of every batch action. AWS omits `Failed` if no entry failed, and some clients check
/// only for its presence.
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

/// Body of an error response.
#[derive(Serialize)]
pub(in crate::sqs) struct ErrorResponse {
    #[serde(rename = "__type")]
    pub(in crate::sqs) shape: &'static str,
    pub(in crate::sqs) message: String,
}
