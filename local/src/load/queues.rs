//! Lengths of queues.

use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName::{
    self, ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed,
    ApproximateNumberOfMessagesNotVisible,
};
use http::Uri;

use crate::stack::{aws_http_client, describe_error, sqs_client};

/// Numbers of messages in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueLengths {
    visible: u64,
    in_flight: u64,
    delayed: u64,
}

/// Error in reading the length of a queue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueueError {
    /// SQS did not respond with the attributes.
    #[error("cannot read the length of the queue {url}: {reason}")]
    Attributes { url: String, reason: String },
    /// A response has no number.
    #[error("the response for the queue {url} has no valid {attribute}")]
    Missing {
        url: String,
        attribute: QueueAttributeName,
    },
}

impl QueueLengths {
    pub(crate) fn total(self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }

    /// Reads the lengths of a queue.
    pub(crate) async fn read(client: &Client, url: &str) -> Result<Self, QueueError> {
        let response = client
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(ApproximateNumberOfMessages)
            .attribute_names(ApproximateNumberOfMessagesNotVisible)
            .attribute_names(ApproximateNumberOfMessagesDelayed)
            .send()
            .await
            .map_err(|error| QueueError::Attributes {
                url: url.to_owned(),
                reason: describe_error(&error),
            })?;
        let attributes = response.attributes.unwrap_or_default();
        let number = |attribute: QueueAttributeName| {
            let text = attributes.get(&attribute);
            text.and_then(|text| text.parse().ok())
                .ok_or_else(|| QueueError::Missing {
                    url: url.to_owned(),
                    attribute,
                })
        };
        Ok(Self {
            visible: number(ApproximateNumberOfMessages)?,
            in_flight: number(ApproximateNumberOfMessagesNotVisible)?,
            delayed: number(ApproximateNumberOfMessagesDelayed)?,
        })
    }
}

/// Returns true if the host of the URL is this machine.
pub(crate) fn is_loopback(url: &Uri) -> bool {
    match url.host() {
        Some(host) => host == "localhost" || host == "[::1]" || host.starts_with("127."),
        None => false,
    }
}

/// Returns a client for a queue: for one on this machine the client of the local stack, otherwise
/// one with the user's AWS configuration.
pub(crate) async fn client(url: &Uri) -> Client {
    if is_loopback(url)
        && let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority())
    {
        return sqs_client(&format!("{scheme}://{authority}"));
    }
    let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(aws_http_client());
    let loader = match region(url) {
        Some(region) => loader.region(Region::new(region)),
        None => loader,
    };
    Client::new(&loader.load().await)
}

/// Returns the region in the host name of a queue on AWS.
fn region(url: &Uri) -> Option<String> {
    let region = url.host()?.strip_prefix("sqs.")?.split('.').next()?;
    Some(region.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_that_of_the_queue() {
        let region = |url: &'static str| region(&Uri::from_static(url));
        let url = "https://sqs.eu-west-1.amazonaws.com/000000000000/orders";
        assert_eq!(region(url).as_deref(), Some("eu-west-1"));
        assert_eq!(region("https://queue.example/orders"), None);
    }

    #[test]
    fn only_queues_on_this_machine_are_local() {
        let is_local = |url| is_loopback(&Uri::from_static(url));
        for url in [
            "http://127.0.0.1:9324/q",
            "http://localhost/q",
            "http://[::1]:1/q",
        ] {
            assert!(is_local(url), "{url}");
        }
        assert!(!is_local("https://sqs.eu-west-1.amazonaws.com/1/q"));
    }
}
