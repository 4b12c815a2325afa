//! The id of a request, in the header `x-request-id` and on log lines.
//!
//! `tower_http::request_id` accepts any value from the caller, which would then be in the log.

use std::future::Future;

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum length of a caller's id. UUIDs have 36 characters, and the ids of proxies and AWS fewer
/// than a hundred.
const MAX_BYTES: usize = 128;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The id of a request: the caller's, or a new one.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// Returns the caller's id if there is exactly one and it is valid, otherwise a new id.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let mut lines = headers.get_all(X_REQUEST_ID).iter();
        match (lines.next(), lines.next()) {
            (Some(id), None) if is_valid(id.as_bytes()) => Self(id.clone()),
            _ => Self::generate(),
        }
    }

    fn generate() -> Self {
        let mut buffer = Uuid::encode_buffer();
        let text = Uuid::new_v4().hyphenated().encode_lower(&mut buffer);
        // Every UUID is a valid header value.
        Self(HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown")))
    }

    /// Runs a future in which [`with_current`] passes this id.
    pub(crate) fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self.clone(), future)
    }

    pub(crate) fn into_header(self) -> HeaderValue {
        self.0
    }

    fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Calls `log` with the id of the current request, or with an empty one outside a request.
pub(crate) fn with_current<T>(log: impl FnOnce(&str) -> T) -> T {
    let id = CURRENT.try_get();
    log(id.as_ref().map_or("", RequestId::as_str))
}

/// Returns `true` if an id has only the characters of UUIDs, base64 and X-Ray's ids. Other ids
/// could contain personal data, such as an e-mail address.
fn is_valid(id: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:;=+/".contains(byte);
    (1..=MAX_BYTES).contains(&id.len()) && id.iter().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(values: &[&str]) -> String {
        let values = values
            .iter()
            .map(|value| (X_REQUEST_ID, value.parse().unwrap()));
        let headers: HeaderMap = values.collect();
        RequestId::from_headers(&headers).as_str().to_owned()
    }

    #[test]
    fn a_valid_id_of_the_caller_is_kept() {
        let longest = "a".repeat(MAX_BYTES);
        for valid in [
            "1",
            "Root=1-67891233-abcdef012345678912345678;Sampled=1",
            &longest,
        ] {
            assert_eq!(id(&[valid]), valid);
        }
    }

    #[test]
    fn other_ids_are_replaced_by_a_uuid() {
        let too_long = "a".repeat(MAX_BYTES + 1);
        for invalid in [
            &[][..],
            &[""],
            &["a b"],
            &["ada@example.com"],
            &[&too_long],
            &["1", "2"],
        ] {
            let id = id(invalid);
            assert!(Uuid::parse_str(&id).is_ok(), "{invalid:?}: {id}");
        }
    }
}
