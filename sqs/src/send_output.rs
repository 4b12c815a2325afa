//! The result of a send.

use md5::{Digest as _, Md5};

use crate::error::QueueSendError;

/// The result of a send that SQS confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendOutput {
    /// The id that SQS gave the message.
    pub message_id: String,
    /// The position of the message in its FIFO queue: a number of up to 39 digits that grows with
    /// each message of a group. `None` on a standard queue.
    pub sequence_number: Option<String>,
}

impl SendOutput {
    /// Reads the response for a message with this body. `digest` is the MD5 of the body that SQS
    /// received, in hexadecimal digits; an endpoint that does not return one is not checked.
    pub(crate) fn from_response(
        body: &str,
        message_id: Option<String>,
        sequence_number: Option<String>,
        digest: Option<&str>,
    ) -> Result<Self, QueueSendError> {
        let message_id = message_id
            .filter(|id| !id.is_empty())
            .ok_or(QueueSendError::NoMessageId)?;
        let digest = digest.filter(|digest| !digest.is_empty());
        if digest.is_some_and(|digest| {
            !digest.eq_ignore_ascii_case(&const_hex::encode(Md5::digest(body)))
        }) {
            return Err(QueueSendError::DigestMismatch { message_id });
        }
        Ok(Self {
            message_id,
            sequence_number,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The MD5 of `hello`, as `md5sum` prints it.
    const DIGEST_OF_HELLO: &str = "5d41402abc4b2a76b9719d911017c592";

    fn read(id: &str, digest: &str) -> Result<SendOutput, QueueSendError> {
        SendOutput::from_response("hello", Some(id.to_owned()), None, Some(digest))
    }

    #[test]
    fn the_digest_of_the_body_is_compared() {
        assert_eq!(read("m-1", DIGEST_OF_HELLO).unwrap().message_id, "m-1");
        assert!(read("m-1", "").is_ok());
        let error = read("m-1", "5d41402abc4b2a76b9719d911017c593").unwrap_err();
        assert!(
            matches!(&error, QueueSendError::DigestMismatch { message_id } if message_id == "m-1")
        );
        assert!(error.may_have_been_sent());
    }

    #[test]
    fn a_response_without_an_id_is_not_a_confirmation() {
        let error = read("", DIGEST_OF_HELLO).unwrap_err();
        assert!(matches!(error, QueueSendError::NoMessageId));
    }
}
