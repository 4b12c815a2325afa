//! The queue's URL, taken apart once.

use crate::dead_letter::error::InvalidDeadLetterQueue;
use http::Uri;

/// Port of a URL that names none, by its scheme.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// How the name of a FIFO queue ends, and of no other.
const FIFO_SUFFIX: &str = ".fifo";

/// The URL of an SQS queue, such as `https://sqs.eu-west-1.amazonaws.com/123456789012/onboarding-dead-letters`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueueUrl {
    url: String,
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
        let name = uri.path().rsplit('/').next();
        let name = name.filter(|name| !name.is_empty());
        if uri.query().is_some() {
            return Err(invalid("it has a query"));
        }
        Ok(Self {
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
}
