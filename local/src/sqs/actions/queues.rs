//! Actions on queues.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::json::{ActionRequest, require, to_json};
use crate::sqs::error::SqsError;
use crate::sqs::limits::{self, MAX_LIST_RESULTS};
use crate::sqs::settings::{self, QueueAttributes};
use crate::sqs::wire::{
    CreateQueueRequest, EmptyResponse, GetQueueAttributesRequest, GetQueueAttributesResponse,
    GetQueueUrlRequest, ListQueuesRequest, ListQueuesResponse, QueueRequest, QueueUrlResponse,
    SetQueueAttributesRequest,
};

pub(super) fn create_queue(request: &ActionRequest<'_>) -> Result<Vec<u8>, SqsError> {
    let input: CreateQueueRequest = request.parse()?;
    let name = require(input.queue_name.as_deref(), "QueueName")?;
    if input.tags.is_some_and(|tags| !tags.is_empty()) {
        return Err(SqsError::UnsupportedOperation(
            "Queue tags are not supported by this endpoint.".to_owned(),
        ));
    }
    request
        .account
        .create_queue(name, &input.attributes.unwrap_or_default())?;
    to_json(&QueueUrlResponse {
        queue_url: request.account.queue_url(name),
    })
}

pub(super) fn get_queue_url(request: &ActionRequest<'_>) -> Result<Vec<u8>, SqsError> {
    let input: GetQueueUrlRequest = request.parse()?;
    let name = require(input.queue_name.as_deref(), "QueueName")?;
    if let Some(owner) = &input.queue_owner_aws_account_id {
        request.check_account(owner)?;
    }
    request
        .account
        .access(|account, _| account.queue(name).map(drop))?;
    to_json(&QueueUrlResponse {
        queue_url: request.account.queue_url(name),
    })
}

pub(super) fn list_queues(request: &ActionRequest<'_>) -> Result<Vec<u8>, SqsError> {
    let input: ListQueuesRequest = request.parse()?;
    let prefix = input.queue_name_prefix.unwrap_or_default();
    let after = input.next_token.as_deref().map(read_token).transpose()?;
    let most = input
        .max_results
        .map(|most| limits::check_count(most, MAX_LIST_RESULTS, "MaxResults"))
        .transpose()?;
    let limit = most.unwrap_or(MAX_LIST_RESULTS);
    // One name more than requested shows whether there is another page.
    let mut names = request
        .account
        .access(|account, _| account.list_queues(&prefix, after.as_deref(), limit + 1));
    let has_more = names.len() > limit;
    names.truncate(limit);
    // AWS returns a token only if the request has `MaxResults`.
    let last = names.last().filter(|_| has_more && most.is_some());
    let next_token = last.map(|name| URL_SAFE_NO_PAD.encode(name));
    let queue_urls = names
        .iter()
        .map(|name| request.account.queue_url(name))
        .collect();
    to_json(&ListQueuesResponse {
        queue_urls,
        next_token,
    })
}

pub(super) fn delete_queue(request: &ActionRequest<'_>) -> Result<Vec<u8>, SqsError> {
    let input: QueueRequest = request.parse()?;
    let name = request.queue_name(input.queue_url.as_deref())?;
    request
        .account
        .access(|account, now| account.delete_queue(&name, now))?;
    to_json(&EmptyResponse {})
}

pub(super) fn purge_queue(request: &ActionRequest<'_>) -> Result<Vec<u8>, SqsError> {
    let input: QueueRequest = request.parse()?;
    let name = request.queue_name(input.queue_url.as_deref())?;
    request
        .account
        .access(|account, now| account.purge(&name, now))?;
    to_json(&EmptyResponse {})
}

pub(super) fn get_queue_attributes(request: &ActionRequest<'_>) -> Result<Vec<u8>, SqsError> {
    let input: GetQueueAttributesRequest = request.parse()?;
    let name = request.queue_name(input.queue_url.as_deref())?;
    let names = input.attribute_names.unwrap_or_default();
    let mut attributes = request
        .account
        .access(|account, now| account.queue(&name).map(|queue| queue.attributes(now)))?;
    if let Some(unknown) = names
        .iter()
        .find(|name| !settings::is_queue_attribute(name))
    {
        return Err(SqsError::InvalidAttributeName(unknown.clone()));
    }
    if !names.iter().any(|name| name == "All") {
        attributes.retain(|name, _| names.contains(name));
    }
    to_json(&GetQueueAttributesResponse { attributes })
}

pub(super) fn set_queue_attributes(request: &ActionRequest<'_>) -> Result<Vec<u8>, SqsError> {
    let input: SetQueueAttributesRequest = request.parse()?;
    let name = request.queue_name(input.queue_url.as_deref())?;
    let attributes: QueueAttributes = input
        .attributes
        .ok_or_else(|| SqsError::MissingParameter("Attributes".to_owned()))?;
    request
        .account
        .access(|account, now| account.set_attributes(&name, &attributes, now))?;
    to_json(&EmptyResponse {})
}

fn read_token(token: &str) -> Result<String, SqsError> {
    let name = URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(|| {
        SqsError::parameter(token, "NextToken", "ListQueues did not return this token.")
    })
}
