//! The rejections that a message with fewer attributes may avoid.

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

/// Error codes with which SQS, or a compatible endpoint, rejects a value of the request. The SDK's
/// model has no types for them.
const CODES: [&str; 5] = [
    "InvalidParameterValue",
    "InvalidAttributeValue",
    "InvalidMessageContents",
    "MessageTooLong",
    "BatchRequestTooLong",
];

/// Suffix of an error code when the response has only its JSON name, as in
/// `InvalidParameterValueException`.
const JSON_SUFFIX: &str = "Exception";

/// Prefix of an error code of the query protocol, which AWS also sends to clients of the JSON
/// protocol.
const QUERY_PREFIX: &str = "AWS.SimpleQueueService.";

/// Text around the limit in the error message of SQS.
const BEFORE_LIMIT: &str = "must be shorter than ";
const AFTER_LIMIT: &str = " bytes";

/// A rejection caused by the content of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// The queue's size limit in bytes, if the rejection states it.
    pub(crate) limit: Option<usize>,
}

impl Rejection {
    /// Extracts the rejection from an error. Returns `None` if sending fewer attributes would not
    /// help.
    pub(crate) fn from_error<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<Self> {
        let error = error.as_service_error()?;
        Self::from_code(error.code()?, error.message())
    }

    /// Extracts the rejection from an error code and the text that came with it.
    pub(crate) fn from_code(code: &str, message: Option<&str>) -> Option<Self> {
        let code = code.strip_prefix(QUERY_PREFIX).unwrap_or(code);
        let code = code.strip_suffix(JSON_SUFFIX).unwrap_or(code);
        CODES.contains(&code).then(|| Self {
            // SQS has no error code for an oversized message and no field for the limit: only the
            // text states both.
            limit: message.and_then(parse_limit),
        })
    }
}

/// Returns the number in "Message must be shorter than 262144 bytes." SQS accepts a message of
/// exactly that size.
fn parse_limit(message: &str) -> Option<usize> {
    let (_, rest) = message.split_once(BEFORE_LIMIT)?;
    let (number, _) = rest.split_once(AFTER_LIMIT)?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::error::ErrorMetadata;
    use aws_sdk_sqs::operation::send_message::SendMessageError;

    use super::*;

    fn rejected(code: &str, message: &str) -> Option<Rejection> {
        let metadata = ErrorMetadata::builder().code(code).message(message).build();
        let error = SendMessageError::generic(metadata);
        let response =
            aws_sdk_sqs::config::http::HttpResponse::new(400.try_into().unwrap(), "".into());
        Rejection::from_error(&SdkError::service_error(error, response))
    }

    #[test]
    fn the_limit_is_parsed_from_the_error_message_of_sqs() {
        let text = "One or more parameters are invalid. Reason: Message must be shorter than 262144 bytes.";
        for code in ["InvalidParameterValue", "InvalidParameterValueException"] {
            let expected = Rejection {
                limit: Some(262_144),
            };
            assert_eq!(rejected(code, text), Some(expected), "{code}");
        }
    }

    #[test]
    fn a_rejected_value_may_have_no_limit() {
        let unknown = Some(Rejection { limit: None });
        for text in [
            "",
            "The value is invalid.",
            "must be shorter than many bytes",
            "must be shorter than 12 words",
            "must be shorter than 99999999999999999999999 bytes",
        ] {
            assert_eq!(rejected("InvalidParameterValue", text), unknown, "{text}");
        }
        for code in [
            "MessageTooLong",
            "InvalidMessageContents",
            "AWS.SimpleQueueService.BatchRequestTooLong",
        ] {
            assert_eq!(rejected(code, ""), unknown, "{code}");
        }
    }

    #[test]
    fn other_errors_do_not_depend_on_the_attributes() {
        for code in ["AccessDenied", "RequestThrottled", "MissingParameter"] {
            let text = "Message must be shorter than 262144 bytes.";
            assert_eq!(rejected(code, text), None, "{code}");
        }
        assert_eq!(
            Rejection::from_error::<SendMessageError>(&SdkError::timeout_error("late")),
            None
        );
    }
}
