//! Errors of the endpoint, with AWS's codes.

/// Error of a request or of a batch entry.
///
/// `Display` is sent to the client, so it copies AWS's wording and punctuation, which people search
/// for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SqsError {
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
    /// Error for a request from another site or for another host. AWS has no such error.
    #[error("{message}")]
    AccessDenied { status: u16, message: String },
}

/// Codes of an error in the two protocols that SDKs read, and its HTTP status.
pub(crate) struct ErrorCodes {
    /// `__type` of the JSON body.
    pub(crate) shape: &'static str,
    /// Code in the query protocol, which SDKs still show. It is also the code of a failed batch
    /// entry.
    pub(crate) code: &'static str,
    pub(crate) status: u16,
}

const BAD_REQUEST: u16 = 400;
const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;

/// Codes of an error in SQS's model whose query code has a prefix.
macro_rules! prefixed_error {
    ($name:literal) => {
        prefixed_error!($name, $name)
    };
    ($shape:literal, $code:literal) => {
        (
            concat!("com.amazonaws.sqs#", $shape),
            concat!("AWS.SimpleQueueService.", $code),
        )
    };
}

/// Codes of an error in SQS's model whose query code has no prefix.
macro_rules! model_error {
    ($name:literal) => {
        model_error!($name, $name)
    };
    ($shape:literal, $code:literal) => {
        (concat!("com.amazonaws.sqs#", $shape), $code)
    };
}

/// Codes of an error that AWS's framework returns before SQS sees the request.
macro_rules! common_error {
    ($shape:literal, $code:literal) => {
        (
            concat!("com.amazon.coral.service#", $shape, "Exception"),
            $code,
        )
    };
}

impl SqsError {
    /// Returns the error for an invalid value of a parameter, in AWS's words.
    pub(crate) fn parameter(
        value: impl std::fmt::Display,
        name: &str,
        reason: impl std::fmt::Display,
    ) -> Self {
        Self::InvalidParameterValue(format!(
            "Value {value} for parameter {name} is invalid. Reason: {reason}"
        ))
    }

    pub(crate) fn codes(&self) -> ErrorCodes {
        let (shape, code) = match self {
            Self::QueueDoesNotExist => prefixed_error!("QueueDoesNotExist", "NonExistentQueue"),
            Self::QueueNameExists(_) => model_error!("QueueNameExists", "QueueAlreadyExists"),
            Self::QueueDeletedRecently => prefixed_error!("QueueDeletedRecently"),
            Self::InvalidParameterValue(_) => {
                common_error!("InvalidParameterValue", "InvalidParameterValue")
            }
            Self::MissingParameter(_) => {
                common_error!("MissingRequiredParameter", "MissingParameter")
            }
            Self::InvalidMessageContents => model_error!("InvalidMessageContents"),
            Self::InvalidAttributeName(_) => model_error!("InvalidAttributeName"),
            Self::InvalidAttributeValue(_) => model_error!("InvalidAttributeValue"),
            Self::ReceiptHandleIsInvalid(_) => model_error!("ReceiptHandleIsInvalid"),
            Self::BatchRequestTooLong { .. } => prefixed_error!("BatchRequestTooLong"),
            Self::TooManyEntriesInBatchRequest { .. } => {
                prefixed_error!("TooManyEntriesInBatchRequest")
            }
            Self::EmptyBatchRequest(_) => prefixed_error!("EmptyBatchRequest"),
            Self::BatchEntryIdsNotDistinct(_) => prefixed_error!("BatchEntryIdsNotDistinct"),
            Self::InvalidBatchEntryId => prefixed_error!("InvalidBatchEntryId"),
            Self::UnsupportedOperation(_) => prefixed_error!("UnsupportedOperation"),
            Self::OverLimit(_) => model_error!("OverLimit"),
            Self::PurgeQueueInProgress(_) => prefixed_error!("PurgeQueueInProgress"),
            Self::InvalidAddress(_) => model_error!("InvalidAddress"),
            Self::UnknownOperation(_) => common_error!("UnknownOperation", "InvalidAction"),
            Self::Serialization(_) => common_error!("Serialization", "MalformedInput"),
            Self::AccessDenied { .. } => common_error!("AccessDenied", "AccessDenied"),
        };
        ErrorCodes {
            shape,
            code,
            status: self.status(),
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::PurgeQueueInProgress(_) | Self::OverLimit(_) => FORBIDDEN,
            Self::ReceiptHandleIsInvalid(_)
            | Self::InvalidAddress(_)
            | Self::UnknownOperation(_) => NOT_FOUND,
            Self::AccessDenied { status, .. } => *status,
            _ => BAD_REQUEST,
        }
    }
}
