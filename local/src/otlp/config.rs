//! Settings of the receiver.

use super::store::SpanStore;
use crate::AllowedHosts;

/// Configuration of [`serve_http`](super::serve_http) and [`serve_grpc`](super::serve_grpc). A [`SpanStore`] alone turns into one that
/// answers to loopback names.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where spans go.
    pub store: SpanStore,
    /// Host names that are answered; others get 421.
    pub allowed_hosts: AllowedHosts,
}

impl From<SpanStore> for Config {
    fn from(store: SpanStore) -> Self {
        Self {
            store,
            allowed_hosts: AllowedHosts::default(),
        }
    }
}
