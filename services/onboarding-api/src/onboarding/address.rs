//! Validation of e-mail addresses.
//!
//! The API and the function must accept the same addresses: otherwise the function would reject a
//! customer that the API has accepted. The services share no code, so each has a copy of this file
//! and its tests, and the end-to-end tests compare the copies.

/// Maximum length of an address in bytes: that of SMTP (RFC 5321, section 4.5.3.1.3) without the
/// angle brackets.
const MAX_ADDRESS: usize = 254;

/// Maximum length of the local part, which precedes the `@`, in bytes (RFC 5321, section
/// 4.5.3.1.1).
const MAX_LOCAL_PART: usize = 64;

/// Maximum length of each label of a domain in bytes (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;

/// Minimum number of labels of a domain. A single label is a host of the local network, which has
/// no mailbox of a customer.
const MIN_LABELS: usize = 2;

/// Characters that an unquoted local part may contain, in addition to letters and digits (RFC 5322,
/// section 3.2.3).
const ATOM_SYMBOLS: &str = "!#$%&'*+-/=?^_`{|}~";

/// Returns `true` if the text has the form of an e-mail address. Only sending mail can show whether
/// the mailbox exists.
///
/// Letters may be of any script (RFC 6531). Quoted local parts, comments, display names and IP
/// addresses are rejected: they are valid in mail, but customers do not have them, and programs
/// interpret them differently.
pub(super) fn is_address(text: &str) -> bool {
    let Some((local_part, domain)) = text.split_once('@') else {
        return false;
    };
    text.len() <= MAX_ADDRESS
        && local_part.len() <= MAX_LOCAL_PART
        && local_part.split('.').all(is_atom)
        && domain.split('.').count() >= MIN_LABELS
        && domain.split('.').all(is_label)
}

fn is_atom(text: &str) -> bool {
    let is_allowed =
        |character: char| character.is_alphanumeric() || ATOM_SYMBOLS.contains(character);
    !text.is_empty() && text.chars().all(is_allowed)
}

fn is_label(text: &str) -> bool {
    let is_allowed = |character: char| character.is_alphanumeric() || character == '-';
    (1..=MAX_LABEL).contains(&text.len())
        && text.chars().all(is_allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests;
