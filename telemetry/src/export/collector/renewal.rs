//! Headers that change while the process runs.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;

use crate::config::Otlp;
use crate::export::headers::{HeldHeaders, Renewed};
use crate::transport::Transport;

/// Keeps one signal's transport at the headers that all signals share.
#[derive(Debug)]
pub(super) struct Renewal {
    held: Arc<HeldHeaders>,
    /// What the transport sends: 0 for the environment's headers alone.
    version: AtomicU64,
}

impl Renewal {
    pub(super) fn new(otlp: &Otlp) -> Option<Self> {
        Some(Self {
            held: Arc::clone(otlp.held_headers.as_ref()?),
            version: AtomicU64::new(0),
        })
    }

    /// Has the transport send the newest headers, and returns their version.
    pub(super) async fn catch_up(&self, transport: &Transport, deadline: Instant) -> u64 {
        let known = self.version.load(Relaxed);
        match self.held.newer_than(known, deadline).await {
            Some(renewed) => self.apply(transport, renewed),
            None => known,
        }
    }

    /// Whether there are newer headers than those of version `refused`; the transport sends them
    /// then.
    pub(super) async fn renew(
        &self,
        transport: &Transport,
        refused: u64,
        deadline: Instant,
    ) -> bool {
        let renewed = self.held.renew(refused, deadline).await;
        renewed
            .map(|renewed| self.apply(transport, renewed))
            .is_some()
    }

    fn apply(&self, transport: &Transport, renewed: Renewed) -> u64 {
        transport.set_headers(renewed.headers);
        self.version.store(renewed.version, Relaxed);
        renewed.version
    }
}
