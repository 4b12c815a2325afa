//! Receipt handles: which receipt of which message of which queue.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::error::Error;

/// What a receipt handle says. Opaque to clients; base64 keeps them from reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The queue's incarnation: a queue created anew under an old name does not know the old one's
    /// handles.
    pub(crate) queue: Uuid,
    /// The message's number in its queue.
    pub(crate) message: u64,
    /// Which receipt of the message this was; only the latest one counts.
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

    /// # Errors
    /// `ReceiptHandleIsInvalid` if it is not one of ours.
    pub(crate) fn parse(handle: &str) -> Result<Self, Error> {
        decode(handle).ok_or_else(|| Error::ReceiptHandleIsInvalid(handle.to_owned()))
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
    fn a_handle_reads_back_as_the_receipt_it_was_made_from() {
        let receipt = Receipt {
            queue: Uuid::new_v4(),
            message: 7,
            receive_number: 3,
        };
        assert_eq!(Receipt::parse(&receipt.handle()), Ok(receipt));
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for handle in ["", "garbage", "Z2FyYmFnZQ==", "YS9iL2M="] {
            assert_eq!(
                Receipt::parse(handle),
                Err(Error::ReceiptHandleIsInvalid(handle.to_owned()))
            );
        }
    }
}
