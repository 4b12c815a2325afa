//! Configuration of the receiver.

use super::store::SpanStore;
use crate::AllowedHosts;

/// Configuration of [`serve_http`](super::serve_http) and [`serve_grpc`](super::serve_grpc). A
/// [`SpanStore`] converts into one that accepts only loopback names.
#[derive(Clone, Debug, Default)]
pub struct OtlpConfig {
    /// Store for received spans.
    pub store: SpanStore,
    /// Accepted host names. A request for another host gets 421.
    pub allowed_hosts: AllowedHosts,
}

impl From<SpanStore> for OtlpConfig {
    fn from(store: SpanStore) -> Self {
        Self {
            store,
            allowed_hosts: AllowedHosts::default(),
        }
    }
}
