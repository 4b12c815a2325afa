//! The queue's URL, taken apart once, so that no send pays for it again.

use http::Uri;

/// Port of a URL that names none, by its scheme.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// The URL of an SQS queue, such as `https://sqs.eu-west-1.amazonaws.com/123456789012/onboarding`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUrl {
    url: String,
    name: String,
    host: String,
    port: u16,
}

/// A text that is not the URL of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a queue URL, {0}")]
pub struct InvalidQueueUrl(&'static str);

impl QueueUrl {
    /// Takes the URL apart.
    ///
    /// # Errors
    ///
    /// When it is no absolute `http` or `https` URL, or its path does not end in a queue's name.
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
        let name = uri.path().rsplit('/').next().unwrap_or_default();
        if name.is_empty() {
            return Err(InvalidQueueUrl("its path does not end in the queue's name"));
        }
        if uri.query().is_some() {
            return Err(InvalidQueueUrl("it has a query"));
        }
        Ok(Self {
            url: url.to_owned(),
            name: name.to_owned(),
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(default_port),
        })
    }

    /// The whole URL, as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// The queue's name: the last segment of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Host of the URL.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port of the URL, or its scheme's own.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_url_is_taken_apart() {
        let queue =
            QueueUrl::parse("https://sqs.eu-west-1.amazonaws.com/123456789012/onboarding").unwrap();
        assert_eq!(
            (queue.name(), queue.host(), queue.port()),
            ("onboarding", "sqs.eu-west-1.amazonaws.com", 443)
        );

        let local = QueueUrl::parse("http://127.0.0.1:9324/000000000000/jobs.fifo").unwrap();
        assert_eq!(
            (local.name(), local.host(), local.port()),
            ("jobs.fifo", "127.0.0.1", 9324)
        );
    }

    #[test]
    fn what_is_not_a_queue_url_is_refused_with_the_reason() {
        for (url, reason) in [
            ("", "parse"),
            ("onboarding", "http://"),
            ("ftp://host/000000000000/q", "http://"),
            ("http://host", "name"),
            ("http://host/000000000000/", "name"),
            ("http://host/000000000000/q?x=1", "query"),
        ] {
            let error = QueueUrl::parse(url).unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }
}
