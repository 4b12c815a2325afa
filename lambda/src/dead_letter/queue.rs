//! The queue's URL, taken apart once.

use http::Uri;

use crate::dead_letter::error::InvalidDeadLetterQueue;

/// Port of a URL that names none, by its scheme.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// `arn`, the partition, and `sqs`.
const ARN_PARTS_BEFORE_REGION: usize = 3;
const ACCOUNT_DIGITS: usize = 12;

/// What tells an endpoint of AWS by its host: `sqs.eu-west-1.amazonaws.com`,
/// `sqs.cn-north-1.amazonaws.com.cn`, `sqs.eu-west-1.api.aws`.
const AWS_LABEL: &str = "amazonaws";
const AWS_SUFFIX: &str = ".api.aws";

/// How the name of a FIFO queue ends, and of no other.
const FIFO_SUFFIX: &str = ".fifo";

/// The URL of an SQS queue, such as
/// `https://sqs.eu-west-1.amazonaws.com/123456789012/onboarding-dead-letters`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueueUrl {
    url: String,
    /// `None` where the path has none, as at some stand-ins for SQS.
    account: Option<String>,
    name: String,
    host: String,
    port: u16,
}

impl QueueUrl {
    pub(super) fn parse(url: String) -> Result<Self, InvalidDeadLetterQueue> {
        let invalid = |reason| InvalidDeadLetterQueue::Url { reason };
        let uri: Uri = url
            .parse()
            .map_err(|_| invalid("it does not parse as a URL"))?;
        let default_port = match uri.scheme_str() {
            Some("http") => HTTP_PORT,
            Some("https") => HTTPS_PORT,
            _ => return Err(invalid("it does not start with http:// or https://")),
        };
        let host = uri.host().filter(|host| !host.is_empty());
        let mut path = uri.path().rsplit('/');
        let name = path.next().filter(|name| !name.is_empty());
        let account = path.next().filter(|account| is_account(account));
        if uri.query().is_some() {
            return Err(invalid("it has a query"));
        }
        Ok(Self {
            account: account.map(str::to_owned),
            name: name
                .ok_or(invalid("its path does not end in the queue's name"))?
                .to_owned(),
            host: host.ok_or(invalid("it has no host"))?.to_owned(),
            port: uri.port_u16().unwrap_or(default_port),
            url,
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.url
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn is_fifo(&self) -> bool {
        self.name.ends_with(FIFO_SUFFIX)
    }

    /// Whether this may be the queue of the ARN: its name is, and what else the URL tells does not
    /// speak against it.
    pub(super) fn may_be(&self, arn: &str) -> bool {
        let mut parts = arn.split(':').skip(ARN_PARTS_BEFORE_REGION);
        let (region, account, name) = (parts.next(), parts.next(), parts.next());
        Some(self.name.as_str()) == name
            && (self.account.is_none() || self.account.as_deref() == account)
            && (self.region().is_none() || self.region() == region)
    }

    /// The region in the name of an endpoint of AWS: after `sqs`, or as it was once, before
    /// `queue`. Other hosts tell nothing.
    fn region(&self) -> Option<&str> {
        let mut labels = self.host.split('.');
        let is_aws = labels.any(|label| label == AWS_LABEL) || self.host.ends_with(AWS_SUFFIX);
        let mut labels = self.host.split('.').filter(|_| is_aws);
        labels.find(|label| is_region(label))
    }
}

fn is_account(text: &str) -> bool {
    text.len() == ACCOUNT_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Two words or more and a number, such as `eu-west-1` or `us-gov-west-1`. The id of a VPC endpoint
/// has digits before its last dash.
fn is_region(label: &str) -> bool {
    let Some((words, number)) = label.rsplit_once('-') else {
        return false;
    };
    words.contains('-')
        && words
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_alphabetic())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_url_is_taken_apart() {
        let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/dead";
        let queue = QueueUrl::parse(url.into()).unwrap();
        assert_eq!(
            (queue.as_str(), queue.name(), queue.host(), queue.port()),
            (url, "dead", "sqs.eu-west-1.amazonaws.com", 443)
        );
        assert!(!queue.is_fifo());
        let queue = QueueUrl::parse("http://127.0.0.1:9324/000000000000/dead.fifo".into()).unwrap();
        assert_eq!((queue.port(), queue.is_fifo()), (9324, true));
    }

    #[test]
    fn what_is_not_a_queue_url_is_refused_with_the_reason() {
        for (url, reason) in [
            ("", "parse"),
            ("dead", "http://"),
            ("ftp://host/000000000000/q", "http://"),
            ("http://host", "name"),
            ("http://host/000000000000/", "name"),
            ("http://host/000000000000/q?x=1", "query"),
        ] {
            let error = QueueUrl::parse(url.into()).unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }

    #[test]
    fn a_queue_is_another_only_if_the_url_says_so() {
        let arn = "arn:aws:sqs:eu-west-1:123456789012:orders";
        for (url, expected) in [
            (
                "https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
                true,
            ),
            (
                "https://eu-west-1.queue.amazonaws.com/123456789012/orders",
                true,
            ),
            ("https://sqs.eu-west-1.api.aws/123456789012/orders", true),
            (
                "https://vpce-0a1b-c2d3.sqs.eu-west-1.vpce.amazonaws.com/123456789012/orders",
                true,
            ),
            ("https://queue.amazonaws.com/123456789012/orders", true),
            ("http://127.0.0.1:9324/123456789012/orders", true),
            ("http://my-queue-1.internal/queue/orders", true),
            (
                "https://sqs.eu-west-1.amazonaws.com/123456789012/orders-dead",
                false,
            ),
            (
                "https://sqs.eu-west-1.amazonaws.com/123456789012/Orders",
                false,
            ),
            (
                "https://sqs.eu-west-1.amazonaws.com/000000000000/orders",
                false,
            ),
            (
                "https://sqs.eu-west-2.amazonaws.com/123456789012/orders",
                false,
            ),
            (
                "https://us-gov-west-1.queue.amazonaws.com/123456789012/orders",
                false,
            ),
            (
                "https://vpce-0a1b-1.sqs.us-east-1.vpce.amazonaws.com/123456789012/orders",
                false,
            ),
        ] {
            let queue = QueueUrl::parse(url.into()).unwrap();
            assert_eq!(queue.may_be(arn), expected, "{url}");
            assert!(!queue.may_be("no ARN"), "{url}");
        }
    }
}
