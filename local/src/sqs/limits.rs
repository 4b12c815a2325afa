//! AWS's limits that apply to every queue, and its rules on names and characters.

use std::collections::HashSet;

use super::error::SqsError;

/// Largest message and largest batch, attributes included; 1 MiB since August 2025.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1_048_576;
/// Smallest value that a queue's `MaximumMessageSize` may have.
pub(crate) const MIN_MAXIMUM_MESSAGE_BYTES: usize = 1_024;
/// Largest number of attributes of a message.
pub(crate) const MAX_MESSAGE_ATTRIBUTES: usize = 10;
/// Longest name and longest data type of a message attribute, in characters.
pub(crate) const MAX_ATTRIBUTE_NAME_CHARS: usize = 256;
/// Largest number of entries in a batch, and of messages in a receive.
pub(crate) const MAX_BATCH_ENTRIES: usize = 10;
/// Longest time of a long poll.
pub(crate) const MAX_WAIT_SECONDS: i64 = 20;
/// Longest time that a message is hidden after a receive: twelve hours, extensions included.
pub(crate) const MAX_VISIBILITY_SECONDS: i64 = 43_200;
/// Longest delay.
pub(crate) const MAX_DELAY_SECONDS: i64 = 900;
/// Largest number of messages in flight in a queue.
pub(crate) const MAX_IN_FLIGHT: usize = 120_000;
/// Largest number of names in a page of `ListQueues`.
pub(crate) const MAX_LIST_RESULTS: usize = 1_000;
/// Largest number of queues of this endpoint. AWS has no such limit. It stops a faulty loop before
/// the machine runs out of memory.
pub(crate) const MAX_QUEUES: usize = 1_000;
/// Largest size of all messages of this endpoint. AWS has no such limit. It stops a faulty loop,
/// and is ten times what a load test with 100,000 messages of 1 KiB needs.
pub(crate) const MAX_STORED_BYTES: usize = 1 << 30;

/// Longest batch entry id and longest queue name.
const MAX_ID_CHARS: usize = 80;
/// Longest `MessageGroupId`.
const MAX_GROUP_CHARS: usize = 128;
/// Largest number of digits of a Number attribute.
const MAX_NUMBER_DIGITS: usize = 38;

/// Checks a count in a request: 1 to `most`.
///
/// # Errors
///
/// Returns `InvalidParameterValue` for another number.
pub(crate) fn check_count(wanted: i64, most: usize, name: &str) -> Result<usize, SqsError> {
    let accepted = usize::try_from(wanted)
        .ok()
        .filter(|wanted| (1..=most).contains(wanted));
    accepted.ok_or_else(|| {
        let reason = format!("Must be between 1 and {most}, if provided.");
        SqsError::parameter(wanted, name, &reason)
    })
}

/// Checks that `value` is in the inclusive `range`, and returns it as seconds.
///
/// # Errors
///
/// Returns `InvalidParameterValue` with `reason` if it is not.
pub(crate) fn check_range(
    value: i64,
    range: std::ops::RangeInclusive<i64>,
    name: &str,
    reason: &str,
) -> Result<u64, SqsError> {
    let accepted = range
        .contains(&value)
        .then(|| u64::try_from(value).ok())
        .flatten();
    accepted.ok_or_else(|| SqsError::parameter(value, name, reason))
}

/// Checks the name of a queue.
///
/// # Errors
///
/// Returns `UnsupportedOperation` for the name of a FIFO queue, and `InvalidParameterValue` for
/// other invalid names.
pub(crate) fn check_queue_name(name: &str) -> Result<(), SqsError> {
    if name.ends_with(".fifo") {
        return Err(SqsError::UnsupportedOperation(format!(
            "FIFO queues are not supported by this endpoint: {name}"
        )));
    }
    if is_id(name) {
        return Ok(());
    }
    Err(SqsError::InvalidParameterValue(
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
            .to_owned(),
    ))
}

/// Checks the number of entries in a batch, and their ids.
///
/// `action` is the prefix of the entry's type name, which is part of AWS's error for an empty
/// batch.
///
/// # Errors
///
/// Returns the error for the first rule that the batch breaks, in AWS's order.
pub(crate) fn check_batch<'a>(action: &'static str, ids: &[&'a str]) -> Result<(), SqsError> {
    if ids.is_empty() {
        return Err(SqsError::EmptyBatchRequest(action));
    }
    if ids.len() > MAX_BATCH_ENTRIES {
        return Err(SqsError::TooManyEntriesInBatchRequest {
            limit: MAX_BATCH_ENTRIES,
            sent: ids.len(),
        });
    }
    let mut seen: HashSet<&'a str> = HashSet::new();
    for id in ids {
        if !is_id(id) {
            return Err(SqsError::InvalidBatchEntryId);
        }
        if !seen.insert(id) {
            return Err(SqsError::BatchEntryIdsNotDistinct((*id).to_owned()));
        }
    }
    Ok(())
}

/// Checks a `MessageGroupId`.
///
/// # Errors
///
/// Returns `InvalidParameterValue` unless it consists of 1 to 128 printable ASCII characters other
/// than space.
pub(crate) fn check_group_id(id: &str) -> Result<(), SqsError> {
    if (1..=MAX_GROUP_CHARS).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let reason = "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.";
    Err(SqsError::parameter(id, "MessageGroupId", reason))
}

/// Returns true if SQS accepts all characters of the text: those of XML 1.0.
pub(crate) fn has_valid_characters(text: &str) -> bool {
    text.chars().all(|character| {
        matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
    })
}

/// Returns true if the text is a decimal number that a Number attribute accepts: an optional sign,
/// at most 38 digits, optionally a decimal point and an exponent.
pub(crate) fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.len() + fraction.len();
    let decimal = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_exponent_valid = exponent.is_none_or(|exponent| {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !unsigned.is_empty() && decimal(unsigned)
    });
    (1..=MAX_NUMBER_DIGITS).contains(&digits)
        && decimal(whole)
        && decimal(fraction)
        && is_exponent_valid
}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID_CHARS).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_name_has_1_to_80_letters_digits_hyphens_or_underscores() {
        assert_eq!(check_queue_name(&"q".repeat(80)), Ok(()));
        for refused in ["", "a b", "a.b", "ä", &"q".repeat(81)] {
            assert_eq!(
                check_queue_name(refused).map_err(|error| error.codes().code),
                Err("InvalidParameterValue")
            );
        }
        let fifo = check_queue_name("orders.fifo").map_err(|error| error.codes().code);
        assert_eq!(fifo, Err("AWS.SimpleQueueService.UnsupportedOperation"));
    }

    #[test]
    fn a_count_is_1_to_its_limit() {
        assert_eq!(check_count(1, 10, "MaxResults"), Ok(1));
        assert_eq!(check_count(10, 10, "MaxResults"), Ok(10));
        for refused in [i64::MIN, -1, 0, 11, i64::MAX] {
            let error = check_count(refused, 10, "MaxResults")
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("MaxResults") && error.contains("between 1 and 10"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_batch_has_1_to_10_entries_with_distinct_ids() {
        let eleven: Vec<String> = (0..11).map(|number| number.to_string()).collect();
        let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
        assert_eq!(check_batch("SendMessageBatch", &eleven[..10]), Ok(()));
        assert_eq!(
            check_batch("SendMessageBatch", &eleven),
            Err(SqsError::TooManyEntriesInBatchRequest {
                limit: 10,
                sent: 11
            })
        );
        assert_eq!(
            check_batch("SendMessageBatch", &[]),
            Err(SqsError::EmptyBatchRequest("SendMessageBatch"))
        );
        assert_eq!(
            check_batch("SendMessageBatch", &["a", "a"]),
            Err(SqsError::BatchEntryIdsNotDistinct("a".to_owned()))
        );
        assert_eq!(
            check_batch("SendMessageBatch", &["a:b"]),
            Err(SqsError::InvalidBatchEntryId)
        );
    }

    #[test]
    fn control_characters_are_invalid() {
        assert!(has_valid_characters(
            "tab\t line\n return\r \u{e000} \u{1f980}"
        ));
        for refused in ["\0", "\u{8}", "\u{b}", "\u{fffe}", "\u{ffff}"] {
            assert!(!has_valid_characters(refused), "{refused:?}");
        }
    }

    #[test]
    fn numbers_are_decimal_with_at_most_38_digits() {
        for accepted in [
            "0",
            "-1.5",
            "+7",
            ".5",
            "5.",
            "1e10",
            "1E-3",
            &"9".repeat(38),
        ] {
            assert!(is_number(accepted), "{accepted}");
        }
        for refused in [
            "",
            "-",
            ".",
            "1e",
            "abc",
            "0x10",
            "1,5",
            "1 ",
            "NaN",
            &"9".repeat(39),
        ] {
            assert!(!is_number(refused), "{refused}");
        }
    }
}
