//! `RedrivePolicy` and `RedriveAllowPolicy`, the two queue attributes whose value is JSON.

use serde::Deserialize;

use crate::sqs::error::SqsError;

/// Largest `maxReceiveCount`.
const MAX_RECEIVE_COUNT: u32 = 1_000;
/// Largest number of queues in a `byQueue` policy.
const MAX_SOURCE_QUEUES: usize = 10;

/// Redrive policy of a queue: its dead-letter queue, and the number of receives after which a
/// message is moved there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RedrivePolicy {
    pub(crate) target_arn: String,
    pub(crate) max_receive_count: u32,
    /// JSON of the policy. AWS returns it as it was set.
    pub(crate) source: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedrivePolicyJson {
    dead_letter_target_arn: Option<String>,
    max_receive_count: Option<MaxReceiveCount>,
}

/// Receive count, which AWS accepts as a number or as a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum MaxReceiveCount {
    Number(u32),
    Text(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedriveAllowPolicy {
    redrive_permission: String,
    source_queue_arns: Option<Vec<String>>,
}

impl RedrivePolicy {
    /// Parses a `RedrivePolicy`. An empty one removes the policy.
    ///
    /// # Errors
    ///
    /// Returns `InvalidParameterValue`, which says what is missing or wrong.
    pub(crate) fn parse(source: &str) -> Result<Option<Self>, SqsError> {
        if source.is_empty() {
            return Ok(None);
        }
        let refuse = |reason: &str| SqsError::parameter(source, "RedrivePolicy", reason);
        let policy: RedrivePolicyJson = serde_json::from_str(source)
            .map_err(|_| refuse("RedrivePolicy policy is not a valid JSON map."))?;
        let target_arn = policy
            .dead_letter_target_arn
            .filter(|arn| !arn.is_empty())
            .ok_or_else(|| {
                refuse("RedrivePolicy policy does not contain mandatory attribute: deadLetterTargetArn.")
            })?;
        let count = match policy.max_receive_count {
            Some(MaxReceiveCount::Number(number)) => Some(number),
            Some(MaxReceiveCount::Text(text)) => text.parse().ok(),
            None => {
                return Err(refuse(
                    "RedrivePolicy policy does not contain mandatory attribute: maxReceiveCount.",
                ));
            }
        };
        let max_receive_count = count
            .filter(|count| (1..=MAX_RECEIVE_COUNT).contains(count))
            .ok_or_else(|| {
                refuse("Invalid value for maxReceiveCount: must be an integer between 1 and 1000.")
            })?;
        Ok(Some(Self {
            target_arn,
            max_receive_count,
            source: source.to_owned(),
        }))
    }
}

/// Checks a `RedriveAllowPolicy`. The policy is stored but not enforced, because all queues of this
/// endpoint belong to one user.
///
/// # Errors
///
/// Returns `InvalidParameterValue` unless the policy is JSON of the documented form.
pub(crate) fn check_allow_policy(source: &str) -> Result<(), SqsError> {
    if source.is_empty() {
        return Ok(());
    }
    let refuse = |reason: &str| Err(SqsError::parameter(source, "RedriveAllowPolicy", reason));
    let Ok(policy) = serde_json::from_str::<RedriveAllowPolicy>(source) else {
        return refuse(
            "Amazon SQS can't create the redrive allow policy, as it's in an unsupported format.",
        );
    };
    let sources = policy.source_queue_arns.as_ref().map(Vec::len);
    match (policy.redrive_permission.as_str(), sources) {
        ("allowAll" | "denyAll", None) => Ok(()),
        ("byQueue", Some(1..=MAX_SOURCE_QUEUES)) => Ok(()),
        _ => refuse(
            "redrivePermission must be allowAll, denyAll, or byQueue with 1 to 10 sourceQueueArns.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:dead";

    fn code(source: &str) -> Result<(), &'static str> {
        RedrivePolicy::parse(source)
            .map(drop)
            .map_err(|error| error.codes().code)
    }

    #[test]
    fn the_count_may_be_a_number_or_a_string() {
        for count in ["3", "\"3\""] {
            let source = format!(r#"{{"deadLetterTargetArn":"{ARN}","maxReceiveCount":{count}}}"#);
            let policy = RedrivePolicy::parse(&source).unwrap().unwrap();
            assert_eq!(
                (
                    policy.max_receive_count,
                    policy.target_arn.as_str(),
                    policy.source
                ),
                (3, ARN, source)
            );
        }
    }

    #[test]
    fn an_incomplete_or_impossible_policy_is_rejected() {
        let refused = [
            "{",
            "[]",
            r#"{"maxReceiveCount":3}"#,
            r#"{"deadLetterTargetArn":"arn"}"#,
            r#"{"deadLetterTargetArn":"arn","maxReceiveCount":"many"}"#,
            r#"{"deadLetterTargetArn":"arn","maxReceiveCount":0}"#,
            r#"{"deadLetterTargetArn":"arn","maxReceiveCount":1001}"#,
            r#"{"deadLetterTargetArn":"arn","maxReceiveCount":-1}"#,
        ];
        for source in refused {
            assert_eq!(code(source), Err("InvalidParameterValue"), "{source}");
        }
    }

    #[test]
    fn an_empty_policy_removes_it() {
        assert_eq!(RedrivePolicy::parse(""), Ok(None));
    }

    #[test]
    fn an_allow_policy_names_queues_only_if_it_is_by_queue() {
        assert_eq!(
            check_allow_policy(r#"{"redrivePermission":"denyAll"}"#),
            Ok(())
        );
        assert_eq!(
            check_allow_policy(&format!(
                r#"{{"redrivePermission":"byQueue","sourceQueueArns":["{ARN}"]}}"#
            )),
            Ok(())
        );
        for refused in [
            "x",
            r#"{"redrivePermission":"byQueue"}"#,
            r#"{"redrivePermission":"some"}"#,
        ] {
            assert!(check_allow_policy(refused).is_err(), "{refused}");
        }
    }
}
