//! Queue attributes that can be set.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::SqsError;
use super::limits::{
    MAX_DELAY_SECONDS, MAX_MESSAGE_BYTES, MAX_VISIBILITY_SECONDS, MAX_WAIT_SECONDS,
    MIN_MAXIMUM_MESSAGE_BYTES,
};

mod redrive;

pub(crate) use redrive::RedrivePolicy;

/// Names and values of queue attributes in a request or response.
pub(crate) type QueueAttributes = BTreeMap<String, String>;

const DEFAULT_VISIBILITY: Duration = Duration::from_secs(30);
const DEFAULT_RETENTION: Duration = Duration::from_secs(4 * 24 * 60 * 60);
const MIN_RETENTION_SECONDS: i64 = 60;
const MAX_RETENTION_SECONDS: i64 = 14 * 24 * 60 * 60;
const MIN_KEY_REUSE_SECONDS: i64 = 60;
const MAX_KEY_REUSE_SECONDS: i64 = 24 * 60 * 60;

const NO_FIFO: &str = "FIFO queues are not supported by this endpoint.";

/// Attributes of FIFO queues, which AWS rejects on standard queues.
const FIFO_ONLY: [&str; 4] = [
    "FifoQueue",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
];

/// Settings of a queue. Those that affect this endpoint are typed; the others (policies,
/// encryption) are stored as text.
#[derive(Debug, Clone)]
pub(crate) struct QueueSettings {
    pub(crate) visibility_timeout: Duration,
    pub(crate) delay: Duration,
    pub(crate) maximum_message_size: usize,
    pub(crate) retention: Duration,
    pub(crate) receive_wait: Duration,
    pub(crate) redrive: Option<RedrivePolicy>,
    opaque: QueueAttributes,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            visibility_timeout: DEFAULT_VISIBILITY,
            delay: Duration::ZERO,
            maximum_message_size: MAX_MESSAGE_BYTES,
            retention: DEFAULT_RETENTION,
            receive_wait: Duration::ZERO,
            redrive: None,
            // AWS reports this value for a queue that was created without encryption settings.
            opaque: QueueAttributes::from([("SqsManagedSseEnabled".to_owned(), "true".to_owned())]),
        }
    }
}

impl QueueSettings {
    /// Returns these settings with `attributes` applied.
    ///
    /// # Errors
    ///
    /// Returns the error for the first invalid attribute.
    pub(crate) fn with_attributes(&self, attributes: &QueueAttributes) -> Result<Self, SqsError> {
        let mut settings = self.clone();
        for (name, value) in attributes {
            settings.set(name, value)?;
        }
        Ok(settings)
    }

    /// Returns the settings as queue attributes.
    pub(crate) fn attributes(&self) -> QueueAttributes {
        let mut attributes = self.opaque.clone();
        let mut add = |name: &str, value: String| attributes.insert(name.to_owned(), value);
        add(
            "VisibilityTimeout",
            self.visibility_timeout.as_secs().to_string(),
        );
        add("DelaySeconds", self.delay.as_secs().to_string());
        add("MaximumMessageSize", self.maximum_message_size.to_string());
        add(
            "MessageRetentionPeriod",
            self.retention.as_secs().to_string(),
        );
        add(
            "ReceiveMessageWaitTimeSeconds",
            self.receive_wait.as_secs().to_string(),
        );
        if let Some(redrive) = &self.redrive {
            add("RedrivePolicy", redrive.source.clone());
        }
        attributes
    }

    /// Returns the first of `attributes` that has a different value in these settings.
    pub(crate) fn first_difference(&self, attributes: &QueueAttributes) -> Option<String> {
        let own = self.attributes();
        let differs = |(name, value): &(&String, &String)| {
            own.get(*name).map_or("", String::as_str) != value.as_str()
        };
        attributes
            .iter()
            .find(differs)
            .map(|(name, _)| name.clone())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), SqsError> {
        match name {
            "VisibilityTimeout" => {
                self.visibility_timeout = parse_seconds(name, value, 0, MAX_VISIBILITY_SECONDS)?
            }
            "DelaySeconds" => self.delay = parse_seconds(name, value, 0, MAX_DELAY_SECONDS)?,
            "ReceiveMessageWaitTimeSeconds" => {
                self.receive_wait = parse_seconds(name, value, 0, MAX_WAIT_SECONDS)?
            }
            "MessageRetentionPeriod" => {
                self.retention =
                    parse_seconds(name, value, MIN_RETENTION_SECONDS, MAX_RETENTION_SECONDS)?
            }
            "MaximumMessageSize" => self.maximum_message_size = parse_message_size(name, value)?,
            "RedrivePolicy" => self.redrive = RedrivePolicy::parse(value)?,
            "KmsDataKeyReusePeriodSeconds" => {
                parse_seconds(name, value, MIN_KEY_REUSE_SECONDS, MAX_KEY_REUSE_SECONDS)?;
                self.set_opaque(name, value);
            }
            "SqsManagedSseEnabled" if matches!(value, "true" | "false") => {
                self.set_opaque(name, value)
            }
            "RedriveAllowPolicy" => {
                redrive::check_allow_policy(value)?;
                self.set_opaque(name, value);
            }
            "Policy"
                if value.is_empty() || serde_json::from_str::<serde_json::Value>(value).is_ok() =>
            {
                self.set_opaque(name, value)
            }
            "KmsMasterKeyId" => self.set_opaque(name, value),
            "SqsManagedSseEnabled" | "Policy" => {
                return Err(SqsError::InvalidAttributeValue(name.to_owned()));
            }
            "FifoQueue" if value == "true" => {
                return Err(SqsError::UnsupportedOperation(NO_FIFO.to_owned()));
            }
            // Read-only attributes, such as QueueArn, get the same error on AWS.
            _ => return Err(SqsError::InvalidAttributeName(name.to_owned())),
        }
        Ok(())
    }

    /// Stores a value; an empty one removes the attribute.
    fn set_opaque(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.opaque.remove(name);
        } else {
            self.opaque.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// Returns true if this is the name of an attribute of a standard or a FIFO queue.
pub(crate) fn is_queue_attribute(name: &str) -> bool {
    const READABLE: [&str; 18] = [
        "All",
        "Policy",
        "VisibilityTimeout",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
        "CreatedTimestamp",
        "LastModifiedTimestamp",
        "QueueArn",
        "DelaySeconds",
        "ReceiveMessageWaitTimeSeconds",
        "RedrivePolicy",
        "RedriveAllowPolicy",
        "KmsMasterKeyId",
        "KmsDataKeyReusePeriodSeconds",
        "SqsManagedSseEnabled",
    ];
    READABLE.contains(&name) || FIFO_ONLY.contains(&name)
}

fn parse_seconds(name: &str, value: &str, least: i64, most: i64) -> Result<Duration, SqsError> {
    let accepted = value
        .parse::<i64>()
        .ok()
        .filter(|seconds| (least..=most).contains(seconds));
    let seconds = accepted.and_then(|seconds| u64::try_from(seconds).ok());
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| SqsError::InvalidAttributeValue(name.to_owned()))
}

fn parse_message_size(name: &str, value: &str) -> Result<usize, SqsError> {
    let accepted = value
        .parse()
        .ok()
        .filter(|size| (MIN_MAXIMUM_MESSAGE_BYTES..=MAX_MESSAGE_BYTES).contains(size));
    accepted.ok_or_else(|| SqsError::InvalidAttributeValue(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> QueueAttributes {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn code(pairs: &[(&str, &str)]) -> Result<(), &'static str> {
        QueueSettings::default()
            .with_attributes(&map(pairs))
            .map(drop)
            .map_err(|error| error.codes().code)
    }

    #[test]
    fn values_outside_their_range_are_rejected() {
        let edges = [
            ("VisibilityTimeout", 0, 43_200),
            ("DelaySeconds", 0, 900),
            ("ReceiveMessageWaitTimeSeconds", 0, 20),
            ("MessageRetentionPeriod", 60, 1_209_600),
            ("MaximumMessageSize", 1_024, 1_048_576),
        ];
        for (name, least, most) in edges {
            for accepted in [least, most] {
                assert_eq!(
                    code(&[(name, &accepted.to_string())]),
                    Ok(()),
                    "{name}={accepted}"
                );
            }
            for refused in [least - 1, most + 1] {
                assert_eq!(
                    code(&[(name, &refused.to_string())]),
                    Err("InvalidAttributeValue"),
                    "{name}={refused}"
                );
            }
        }
    }

    #[test]
    fn names_that_cannot_be_set_on_a_standard_queue_are_unknown() {
        for name in [
            "QueueArn",
            "ApproximateNumberOfMessages",
            "ContentBasedDeduplication",
            "Nonsense",
        ] {
            assert_eq!(code(&[(name, "1")]), Err("InvalidAttributeName"), "{name}");
        }
        assert_eq!(
            code(&[("FifoQueue", "true")]),
            Err("AWS.SimpleQueueService.UnsupportedOperation")
        );
    }

    #[test]
    fn only_given_attributes_are_compared() {
        let settings = QueueSettings::default()
            .with_attributes(&map(&[("DelaySeconds", "5")]))
            .unwrap();
        assert_eq!(settings.first_difference(&map(&[])), None);
        assert_eq!(
            settings.first_difference(&map(&[("DelaySeconds", "5"), ("VisibilityTimeout", "30")])),
            None
        );
        assert_eq!(
            settings
                .first_difference(&map(&[("DelaySeconds", "6")]))
                .as_deref(),
            Some("DelaySeconds")
        );
    }

    #[test]
    fn a_rejected_attribute_changes_nothing() {
        let settings = QueueSettings::default();
        assert!(
            settings
                .with_attributes(&map(&[("DelaySeconds", "5"), ("VisibilityTimeout", "x")]))
                .is_err()
        );
        assert_eq!(settings.delay, Duration::ZERO);
    }
}
