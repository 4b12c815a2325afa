//! The URL of a queue.

use http::Uri;

/// Ports of URLs that do not name one.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Number of an ARN's parts before the region: `arn`, the partition and `sqs`.
const ARN_PARTS_BEFORE_REGION: usize = 3;
const ACCOUNT_DIGITS: usize = 12;

/// Parts of the host names of AWS's endpoints: `sqs.eu-west-1.amazonaws.com`,
/// `sqs.cn-north-1.amazonaws.com.cn`, `sqs.eu-west-1.api.aws`.
const AWS_LABEL: &str = "amazonaws";
const AWS_SUFFIX: &str = ".api.aws";

/// End of a FIFO queue's name. Names of standard queues have no dot.
const FIFO_SUFFIX: &str = ".fifo";

/// The URL of an SQS queue, such as `https://sqs.eu-west-1.amazonaws.com/123456789012/onboarding`.
///
/// It is parsed once, so that a send only copies its parts.
///
/// ```
/// let queue = baton_sqs::QueueUrl::parse("http://127.0.0.1:9324/000000000000/orders.fifo")?;
/// assert_eq!((queue.name(), queue.host(), queue.port()), ("orders.fifo", "127.0.0.1", 9324));
/// assert!(queue.is_fifo());
/// # Ok::<(), baton_sqs::InvalidQueueUrl>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUrl {
    url: String,
    /// `None` if the path does not contain an account id, as with some SQS emulators.
    account: Option<String>,
    name: String,
    host: String,
    port: u16,
}

/// A text that is not the URL of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a queue URL: {0}")]
pub struct InvalidQueueUrl(&'static str);

impl InvalidQueueUrl {
    /// The rule that the text breaks.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0
    }
}

impl QueueUrl {
    /// Parses a queue URL.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not an absolute `http` or `https` URL, if its path does not
    /// end in a queue name, or if it has a query.
    pub fn parse(url: &str) -> Result<Self, InvalidQueueUrl> {
        let uri: Uri = url
            .parse()
            .map_err(|_| InvalidQueueUrl("it does not parse as a URL"))?;
        let default_port = match uri.scheme_str() {
            Some("http") => HTTP_PORT,
            Some("https") => HTTPS_PORT,
            _ => {
                return Err(InvalidQueueUrl(
                    "it does not start with http:// or https://",
                ));
            }
        };
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or(InvalidQueueUrl("it has no host"))?;
        let mut segments = uri.path().rsplit('/');
        let name = segments
            .next()
            .filter(|name| !name.is_empty())
            .ok_or(InvalidQueueUrl("its path does not end in the queue's name"))?;
        let account = segments.next().filter(|account| is_account(account));
        if uri.query().is_some() {
            return Err(InvalidQueueUrl("it has a query"));
        }
        Ok(Self {
            account: account.map(str::to_owned),
            name: name.to_owned(),
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(default_port),
            url: url.to_owned(),
        })
    }

    /// The whole URL, unchanged.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// The queue's name: the last segment of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host of the URL.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port of the URL, or the default port of its scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns `true` for a FIFO queue.
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        self.name.ends_with(FIFO_SUFFIX)
    }

    /// Returns `true` if this can be the queue with the given ARN: the names are equal, and so are
    /// account and region as far as the URL contains them.
    #[must_use]
    pub fn can_match(&self, arn: &str) -> bool {
        let mut parts = arn.split(':').skip(ARN_PARTS_BEFORE_REGION);
        let (region, account, name) = (parts.next(), parts.next(), parts.next());
        Some(self.name.as_str()) == name
            && (self.account.is_none() || self.account.as_deref() == account)
            && (self.region().is_none() || self.region() == region)
    }

    /// Returns the region in the host name of an AWS endpoint. It follows `sqs`, or precedes
    /// `queue` in the older form. Other host names do not contain a region.
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

/// Returns `true` for two or more words and a number, such as `eu-west-1` or `us-gov-west-1`. The
/// id of a VPC endpoint does not match, because it has digits before its last dash.
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
    fn a_queue_url_is_parsed() {
        let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/dead";
        let queue = QueueUrl::parse(url).unwrap();
        assert_eq!(
            (queue.as_str(), queue.name(), queue.host(), queue.port()),
            (url, "dead", "sqs.eu-west-1.amazonaws.com", 443)
        );
        assert!(!queue.is_fifo());
        let queue = QueueUrl::parse("http://127.0.0.1:9324/000000000000/dead.fifo").unwrap();
        assert_eq!(
            (queue.name(), queue.host(), queue.port()),
            ("dead.fifo", "127.0.0.1", 9324)
        );
        assert!(queue.is_fifo());
    }

    #[test]
    fn an_invalid_queue_url_is_rejected_with_the_reason() {
        for (url, reason) in [
            ("", "parse"),
            ("dead", "http://"),
            ("ftp://host/000000000000/q", "http://"),
            ("http://host", "name"),
            ("http://host/000000000000/", "name"),
            ("http://host/000000000000/q?x=1", "query"),
        ] {
            let error = QueueUrl::parse(url).unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }

    #[test]
    fn queues_differ_only_if_the_url_shows_it() {
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
            let queue = QueueUrl::parse(url).unwrap();
            assert_eq!(queue.can_match(arn), expected, "{url}");
            assert!(!queue.can_match("no ARN"), "{url}");
        }
    }
}
