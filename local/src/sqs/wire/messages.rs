//! JSON types of actions on messages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A message attribute in a request, where every field is optional, or in a response.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct MessageAttributeValue {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::sqs) string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::sqs) binary_value: Option<String>,
    #[serde(skip_serializing)]
    pub(in crate::sqs) string_list_values: Option<Vec<String>>,
    #[serde(skip_serializing)]
    pub(in crate::sqs) binary_list_values: Option<Vec<String>>,
    pub(in crate::sqs) data_type: Option<String>,
}

/// Fields of a message to send, in a request of its own or in a batch entry.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct SendMessageFields {
    pub(in crate::sqs) message_body: Option<String>,
    pub(in crate::sqs) delay_seconds: Option<i64>,
    pub(in crate::sqs) message_attributes: Option<BTreeMap<String, MessageAttributeValue>>,
    pub(in crate::sqs) message_system_attributes: Option<BTreeMap<String, MessageAttributeValue>>,
    pub(in crate::sqs) message_group_id: Option<String>,
    pub(in crate::sqs) message_deduplication_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct SendMessageRequest {
    pub(in crate::sqs) queue_url: Option<String>,
    #[serde(flatten)]
    pub(in crate::sqs) message: SendMessageFields,
}

/// A batch request of any action.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct BatchRequest<T> {
    pub(in crate::sqs) queue_url: Option<String>,
    pub(in crate::sqs) entries: Option<Vec<BatchRequestEntry<T>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct BatchRequestEntry<T> {
    pub(in crate::sqs) id: Option<String>,
    #[serde(flatten)]
    pub(in crate::sqs) content: T,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct SendMessageResponse {
    pub(in crate::sqs) message_id: String,
    #[serde(rename = "MD5OfMessageBody")]
    pub(in crate::sqs) md5_of_message_body: String,
    #[serde(
        rename = "MD5OfMessageAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    pub(in crate::sqs) md5_of_message_attributes: Option<String>,
    #[serde(
        rename = "MD5OfMessageSystemAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    pub(in crate::sqs) md5_of_message_system_attributes: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct SendMessageResultEntry {
    pub(in crate::sqs) id: String,
    #[serde(flatten)]
    pub(in crate::sqs) sent: SendMessageResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct ReceiveMessageRequest {
    pub(in crate::sqs) queue_url: Option<String>,
    pub(in crate::sqs) attribute_names: Option<Vec<String>>,
    pub(in crate::sqs) message_system_attribute_names: Option<Vec<String>>,
    pub(in crate::sqs) message_attribute_names: Option<Vec<String>>,
    pub(in crate::sqs) max_number_of_messages: Option<i64>,
    pub(in crate::sqs) visibility_timeout: Option<i64>,
    pub(in crate::sqs) wait_time_seconds: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct ReceiveMessageResponse<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::sqs) messages: Vec<ReceivedMessageFields<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct ReceivedMessageFields<'a> {
    pub(in crate::sqs) message_id: &'a str,
    pub(in crate::sqs) receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    pub(in crate::sqs) md5_of_body: &'a str,
    pub(in crate::sqs) body: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::sqs) attributes: BTreeMap<&'static str, String>,
    #[serde(
        rename = "MD5OfMessageAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    pub(in crate::sqs) md5_of_message_attributes: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::sqs) message_attributes: BTreeMap<&'a str, MessageAttributeValue>,
}

/// Fields of a deletion other than the queue, in a request of its own or in a batch entry.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct DeleteMessageFields {
    pub(in crate::sqs) receipt_handle: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct DeleteMessageRequest {
    pub(in crate::sqs) queue_url: Option<String>,
    #[serde(flatten)]
    pub(in crate::sqs) deletion: DeleteMessageFields,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct ChangeVisibilityFields {
    pub(in crate::sqs) receipt_handle: Option<String>,
    pub(in crate::sqs) visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct ChangeVisibilityRequest {
    pub(in crate::sqs) queue_url: Option<String>,
    #[serde(flatten)]
    pub(in crate::sqs) visibility: ChangeVisibilityFields,
}

/// Result of a batch entry that succeeded and has no other result.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sqs) struct BatchResultEntry {
    pub(in crate::sqs) id: String,
}
