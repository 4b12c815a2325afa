//! Configuration of the receiver.

use super::store::SpanStore;
use crate::AllowedHosts;

/// Configuration of [`serve_http`](super::serve_http) and [`serve_grpc`](super::serve_grpc). A
/// [`SpanStore`] converts into one that accepts only loopback names.
///
/// ```
/// use baton_local::AllowedHosts;
/// use baton_local::otlp::{ReceiverConfig, SpanStore};
///
/// let store = SpanStore::default();
/// let config = ReceiverConfig {
///     store: store.clone(),
///     allowed_hosts: AllowedHosts::new(vec!["host.docker.internal".parse()?]),
/// };
/// # assert_eq!(config.store.totals(), store.totals());
/// # Ok::<(), baton_local::InvalidHostName>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ReceiverConfig {
    /// Store for received spans.
    pub store: SpanStore,
    /// Accepted host names. A request for another host gets 421.
    pub allowed_hosts: AllowedHosts,
}

impl From<SpanStore> for ReceiverConfig {
    fn from(store: SpanStore) -> Self {
        Self {
            store,
            allowed_hosts: AllowedHosts::default(),
        }
    }
}
