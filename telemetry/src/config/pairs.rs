//! Lists of the form `key=value,key=value`, percent-encoded.

use percent_encoding::percent_decode_str;

/// The pairs of a list; the error is the first member that is none.
pub(super) fn pairs(list: &str) -> Result<Vec<(String, String)>, String> {
    let members = list.split(',').filter(|member| !member.trim().is_empty());
    members
        .map(|member| pair(member).ok_or_else(|| member.trim().to_owned()))
        .collect()
}

/// Values may hold anything but a comma as it is, for people write a key and its scheme with a
/// space between them.
pub(super) fn pair(member: &str) -> Option<(String, String)> {
    let (key, value) = member.split_once('=')?;
    let key = key.trim();
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    (!key.is_empty()).then(|| (key.to_owned(), value.into_owned()))
}
