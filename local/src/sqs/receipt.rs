//! Receipt handles.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::error::SqsError;

/// Content of a receipt handle. The handle is base64, because clients should treat it as opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Id of the queue. A queue that is created again under the same name has another id, so old
    /// handles are not valid for it.
    pub(crate) queue: Uuid,
    /// Number of the message in its queue.
    pub(crate) message: u64,
    /// Number of the receive that returned the handle. Only the latest one is valid.
    pub(crate) receive_number: u32,
}

impl Receipt {
    pub(crate) fn handle(self) -> String {
        STANDARD.encode(format!(
            "{}/{}/{}",
            self.queue.simple(),
            self.message,
            self.receive_number
        ))
    }

    /// Parses a receipt handle.
    ///
    /// # Errors
    ///
    /// Returns `ReceiptHandleIsInvalid` if this endpoint did not create the handle.
    pub(crate) fn parse(handle: &str) -> Result<Self, SqsError> {
        decode(handle).ok_or_else(|| SqsError::ReceiptHandleIsInvalid(handle.to_owned()))
    }
}

fn decode(handle: &str) -> Option<Receipt> {
    let text = String::from_utf8(STANDARD.decode(handle).ok()?).ok()?;
    let mut parts = text.split('/');
    let receipt = Receipt {
        queue: Uuid::try_parse(parts.next()?).ok()?,
        message: parts.next()?.parse().ok()?,
        receive_number: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(receipt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_parsed_into_the_receipt_that_it_encodes() {
        let receipt = Receipt {
            queue: Uuid::new_v4(),
            message: 7,
            receive_number: 3,
        };
        assert_eq!(Receipt::parse(&receipt.handle()), Ok(receipt));
    }

    #[test]
    fn other_text_is_rejected() {
        for handle in ["", "garbage", "Z2FyYmFnZQ==", "YS9iL2M="] {
            assert_eq!(
                Receipt::parse(handle),
                Err(SqsError::ReceiptHandleIsInvalid(handle.to_owned()))
            );
        }
    }
}
