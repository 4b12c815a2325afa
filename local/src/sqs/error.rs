//! What the endpoint refuses, and how AWS names each refusal.

/// A refused request or batch entry.
///
/// `Display` is what goes over the wire, so it is worded and punctuated as AWS words it: people search for these sentences.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("The specified queue does not exist.")]
    QueueDoesNotExist,
    #[error("A queue already exists with the same name and a different value for attribute {0}")]
    QueueNameExists(String),
    #[error(
        "You must wait 60 seconds after deleting a queue before you can create another with the same name."
    )]
    QueueDeletedRecently,
    #[error("{0}")]
    InvalidParameterValue(String),
    #[error("The request must contain the parameter {0}.")]
    MissingParameter(String),
    #[error(
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
    )]
    InvalidMessageContents,
    #[error("Unknown Attribute {0}.")]
    InvalidAttributeName(String),
    #[error("Invalid value for the parameter {0}.")]
    InvalidAttributeValue(String),
    #[error("The input receipt handle \"{0}\" is not a valid receipt handle.")]
    ReceiptHandleIsInvalid(String),
    #[error("Batch requests cannot be longer than {limit} bytes. You have sent {sent} bytes.")]
    BatchRequestTooLong { limit: usize, sent: usize },
    #[error("Maximum number of entries per request are {limit}. You have sent {sent}.")]
    TooManyEntriesInBatchRequest { limit: usize, sent: usize },
    #[error("There should be at least one {0}RequestEntry in the request.")]
    EmptyBatchRequest(&'static str),
    #[error("Id {0} repeated.")]
    BatchEntryIdsNotDistinct(String),
    #[error(
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long."
    )]
    InvalidBatchEntryId,
    #[error("{0}")]
    UnsupportedOperation(String),
    #[error("{0}")]
    OverLimit(String),
    #[error("Only one PurgeQueue operation on {0} is allowed every 60 seconds.")]
    PurgeQueueInProgress(String),
    #[error("The address {0} is not valid for this endpoint.")]
    InvalidAddress(String),
    #[error("{0}")]
    UnknownOperation(String),
    #[error("{0}")]
    Serialization(String),
}

/// The names of one kind of error in the two protocols that SDKs read, and its HTTP status.
pub(crate) struct Naming {
    /// `__type` of the JSON body.
    pub(crate) shape: &'static str,
    /// Code of the older query protocol, which SDKs still show; also the code of a failed batch entry.
    pub(crate) code: &'static str,
    pub(crate) status: u16,
}

const BAD_REQUEST: u16 = 400;
const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;

impl Error {
    /// A parameter's value is out of its range, said as AWS says it.
    pub(crate) fn parameter(
        value: impl std::fmt::Display,
        name: &str,
        reason: impl std::fmt::Display,
    ) -> Self {
        Self::InvalidParameterValue(format!(
            "Value {value} for parameter {name} is invalid. Reason: {reason}"
        ))
    }

    pub(crate) fn naming(&self) -> Naming {
        let (shape, code, status) = match self {
            Self::QueueDoesNotExist => (
                "com.amazonaws.sqs#QueueDoesNotExist",
                "AWS.SimpleQueueService.NonExistentQueue",
                BAD_REQUEST,
            ),
            Self::QueueNameExists(_) => (
                "com.amazonaws.sqs#QueueNameExists",
                "QueueAlreadyExists",
                BAD_REQUEST,
            ),
            Self::QueueDeletedRecently => (
                "com.amazonaws.sqs#QueueDeletedRecently",
                "AWS.SimpleQueueService.QueueDeletedRecently",
                BAD_REQUEST,
            ),
            Self::InvalidAttributeName(_) => (
                "com.amazonaws.sqs#InvalidAttributeName",
                "InvalidAttributeName",
                BAD_REQUEST,
            ),
            Self::InvalidAttributeValue(_) => (
                "com.amazonaws.sqs#InvalidAttributeValue",
                "InvalidAttributeValue",
                BAD_REQUEST,
            ),
            Self::PurgeQueueInProgress(_) => (
                "com.amazonaws.sqs#PurgeQueueInProgress",
                "AWS.SimpleQueueService.PurgeQueueInProgress",
                FORBIDDEN,
            ),
            Self::UnsupportedOperation(_) => (
                "com.amazonaws.sqs#UnsupportedOperation",
                "AWS.SimpleQueueService.UnsupportedOperation",
                BAD_REQUEST,
            ),
            Self::OverLimit(_) => ("com.amazonaws.sqs#OverLimit", "OverLimit", FORBIDDEN),
            Self::InvalidAddress(_) => (
                "com.amazonaws.sqs#InvalidAddress",
                "InvalidAddress",
                NOT_FOUND,
            ),
            Self::UnknownOperation(_) => (
                "com.amazon.coral.service#UnknownOperationException",
                "InvalidAction",
                NOT_FOUND,
            ),
            Self::Serialization(_) => (
                "com.amazon.coral.service#SerializationException",
                "MalformedInput",
                BAD_REQUEST,
            ),
            message_error => message_error.message_naming(),
        };
        Naming {
            shape,
            code,
            status,
        }
    }

    /// The second half of [`Error::naming`]: what can be wrong with messages, handles and batches.
    fn message_naming(&self) -> (&'static str, &'static str, u16) {
        match self {
            Self::MissingParameter(_) => (
                "com.amazon.coral.service#MissingRequiredParameterException",
                "MissingParameter",
                BAD_REQUEST,
            ),
            Self::InvalidMessageContents => (
                "com.amazonaws.sqs#InvalidMessageContents",
                "InvalidMessageContents",
                BAD_REQUEST,
            ),
            Self::ReceiptHandleIsInvalid(_) => (
                "com.amazonaws.sqs#ReceiptHandleIsInvalid",
                "ReceiptHandleIsInvalid",
                NOT_FOUND,
            ),
            Self::BatchRequestTooLong { .. } => (
                "com.amazonaws.sqs#BatchRequestTooLong",
                "AWS.SimpleQueueService.BatchRequestTooLong",
                BAD_REQUEST,
            ),
            Self::TooManyEntriesInBatchRequest { .. } => (
                "com.amazonaws.sqs#TooManyEntriesInBatchRequest",
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
                BAD_REQUEST,
            ),
            Self::EmptyBatchRequest(_) => (
                "com.amazonaws.sqs#EmptyBatchRequest",
                "AWS.SimpleQueueService.EmptyBatchRequest",
                BAD_REQUEST,
            ),
            Self::BatchEntryIdsNotDistinct(_) => (
                "com.amazonaws.sqs#BatchEntryIdsNotDistinct",
                "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
                BAD_REQUEST,
            ),
            Self::InvalidBatchEntryId => (
                "com.amazonaws.sqs#InvalidBatchEntryId",
                "AWS.SimpleQueueService.InvalidBatchEntryId",
                BAD_REQUEST,
            ),
            _ => (
                "com.amazon.coral.service#InvalidParameterValueException",
                "InvalidParameterValue",
                BAD_REQUEST,
            ),
        }
    }
}
