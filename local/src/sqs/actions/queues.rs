//! Actions on queues.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Request, answer, required};
use crate::sqs::error::Error;
use crate::sqs::limits::{self, MAX_LIST_RESULTS};
use crate::sqs::settings::{self, AttributeMap};
use crate::sqs::wire::{
    CreateQueueRequest, Empty, GetQueueAttributesRequest, GetQueueAttributesResponse,
    GetQueueUrlRequest, ListQueuesRequest, ListQueuesResponse, QueueRequest, QueueUrlResponse,
    SetQueueAttributesRequest,
};

pub(super) fn create(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let wanted: CreateQueueRequest = request.parse()?;
    let name = required(wanted.queue_name.as_deref(), "QueueName")?;
    if wanted.tags.is_some_and(|tags| !tags.is_empty()) {
        return Err(Error::UnsupportedOperation(
            "Queue tags are not supported by this endpoint.".to_owned(),
        ));
    }
    request
        .hub
        .create(name, &wanted.attributes.unwrap_or_default())?;
    answer(&QueueUrlResponse {
        queue_url: request.hub.queue_url(name),
    })
}

pub(super) fn url(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let wanted: GetQueueUrlRequest = request.parse()?;
    let name = required(wanted.queue_name.as_deref(), "QueueName")?;
    if let Some(owner) = &wanted.queue_owner_aws_account_id {
        request.own_account(owner)?;
    }
    request
        .hub
        .with(|account, _| account.queue(name).map(drop))?;
    answer(&QueueUrlResponse {
        queue_url: request.hub.queue_url(name),
    })
}

pub(super) fn list(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let wanted: ListQueuesRequest = request.parse()?;
    let prefix = wanted.queue_name_prefix.unwrap_or_default();
    let after = wanted.next_token.as_deref().map(read_token).transpose()?;
    let most = wanted
        .max_results
        .map(|most| limits::count(most, MAX_LIST_RESULTS, "MaxResults"))
        .transpose()?;
    let wished = most.unwrap_or(MAX_LIST_RESULTS);
    // One more than wished shows whether there is another page.
    let mut names = request
        .hub
        .with(|account, _| account.list(&prefix, after.as_deref(), wished + 1));
    let more = names.len() > wished;
    names.truncate(wished);
    // AWS pages only for those who ask for pages.
    let last = names.last().filter(|_| more && most.is_some());
    let next_token = last.map(|name| URL_SAFE_NO_PAD.encode(name));
    let queue_urls = names
        .iter()
        .map(|name| request.hub.queue_url(name))
        .collect();
    answer(&ListQueuesResponse {
        queue_urls,
        next_token,
    })
}

pub(super) fn delete(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let wanted: QueueRequest = request.parse()?;
    let name = request.queue_name(wanted.queue_url.as_deref())?;
    request
        .hub
        .with(|account, now| account.delete_queue(&name, now))?;
    answer(&Empty {})
}

pub(super) fn purge(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let wanted: QueueRequest = request.parse()?;
    let name = request.queue_name(wanted.queue_url.as_deref())?;
    request.hub.with(|account, now| account.purge(&name, now))?;
    answer(&Empty {})
}

pub(super) fn get_attributes(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let wanted: GetQueueAttributesRequest = request.parse()?;
    let name = request.queue_name(wanted.queue_url.as_deref())?;
    let names = wanted.attribute_names.unwrap_or_default();
    let mut attributes = request
        .hub
        .with(|account, now| account.queue(&name).map(|queue| queue.attributes(now)))?;
    if let Some(unknown) = names.iter().find(|name| !settings::is_known(name)) {
        return Err(Error::InvalidAttributeName(unknown.clone()));
    }
    if !names.iter().any(|name| name == "All") {
        attributes.retain(|name, _| names.contains(name));
    }
    answer(&GetQueueAttributesResponse { attributes })
}

pub(super) fn set_attributes(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let wanted: SetQueueAttributesRequest = request.parse()?;
    let name = request.queue_name(wanted.queue_url.as_deref())?;
    let attributes: AttributeMap = wanted
        .attributes
        .ok_or_else(|| Error::MissingParameter("Attributes".to_owned()))?;
    request
        .hub
        .with(|account, now| account.set_attributes(&name, &attributes, now))?;
    answer(&Empty {})
}

fn read_token(token: &str) -> Result<String, Error> {
    let name = URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(|| {
        Error::parameter(
            token,
            "NextToken",
            "It is not a token that ListQueues returned.",
        )
    })
}
