//! What counts as an e-mail address.
//!
//! The API and the function must agree, or an accepted customer ends in the dead-letter queue. They
//! share no code, so each service has a copy of this file and its tests, and the end-to-end tests
//! compare the copies.

/// Bytes of an address: the longest that SMTP can carry (RFC 5321, section 4.5.3.1.3, less the
/// angle brackets).
const MAX_ADDRESS: usize = 254;

/// Bytes of what stands before the `@` (RFC 5321, section 4.5.3.1.1), and of each label of a domain
/// (RFC 1035, section 2.3.4).
const MAX_LOCAL_PART: usize = 64;
const MAX_LABEL: usize = 63;

/// Labels of a domain: mail to strangers goes to no host of the own network.
const MIN_LABELS: usize = 2;

/// What may stand in an unquoted local part beside letters and digits (RFC 5322, section 3.2.3).
const ATOM_SYMBOLS: &str = "!#$%&'*+-/=?^_`{|}~";

/// Whether mail could be sent there; only sending shows whether it can.
///
/// The letters may be of any script (RFC 6531). Quoted local parts, comments, display names and IP
/// addresses are legal in mail, unheard of in customers and read differently by every program, so
/// they are refused.
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
    let allowed = |character: char| character.is_alphanumeric() || ATOM_SYMBOLS.contains(character);
    !text.is_empty() && text.chars().all(allowed)
}

fn is_label(text: &str) -> bool {
    let allowed = |character: char| character.is_alphanumeric() || character == '-';
    (1..=MAX_LABEL).contains(&text.len())
        && text.chars().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests;
