//! The way to a collector that may be broken.

use crate::config::Otlp;
use crate::header_source::{HeldHeaders, Renewed};
use crate::http::Frames;
use crate::transport::{Transport, TransportError};
use bytes::Bytes;
use http::HeaderMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::time::Instant;

/// What exporters send through.
#[derive(Debug)]
pub(crate) struct Uplink {
    transport: Transport,
    renewable: Option<Renewable>,
}

impl Uplink {
    pub(crate) fn new(otlp: &Otlp) -> Self {
        Self {
            transport: Transport::new(otlp),
            renewable: Renewable::new(otlp),
        }
    }

    /// The end of one request's time, were it sent now.
    pub(crate) fn patience(&self) -> Instant {
        self.transport.patience()
    }

    /// Sends a request, as [`Transport::send`] does, and again at once where the collector refused a key and there is a newer one.
    pub(crate) async fn send(
        &self,
        request: Frames,
        deadline: Instant,
    ) -> Result<Bytes, TransportError> {
        let Some(renewable) = &self.renewable else {
            return self.transport.send(request, deadline).await;
        };
        let used = renewable.catch_up(&self.transport, deadline).await;
        let outcome = self.transport.send(request.clone(), deadline).await;
        let is_unauthorized = matches!(&outcome, Err(error) if error.is_unauthorized());
        if !is_unauthorized || !renewable.renew(&self.transport, used, deadline).await {
            return outcome;
        }
        self.transport.send(request, deadline).await
    }
}

/// Headers that change while the process runs.
#[derive(Debug)]
struct Renewable {
    held: Arc<HeldHeaders>,
    /// Of the environment: what is held wins over them.
    others: HeaderMap,
    /// What the transport sends: 0 for `others` alone.
    version: AtomicU64,
}

impl Renewable {
    fn new(otlp: &Otlp) -> Option<Self> {
        Some(Self {
            held: Arc::clone(otlp.held_headers.as_ref()?),
            others: otlp.headers.clone(),
            version: AtomicU64::new(0),
        })
    }

    /// Has the transport send the newest headers, and returns their version.
    async fn catch_up(&self, transport: &Transport, deadline: Instant) -> u64 {
        let known = self.version.load(Relaxed);
        match self.held.newer_than(known, deadline).await {
            Some(renewed) => self.apply(transport, renewed),
            None => known,
        }
    }

    /// Whether there are newer headers than those of version `refused`; the transport sends them then.
    async fn renew(&self, transport: &Transport, refused: u64, deadline: Instant) -> bool {
        let renewed = self.held.renew(refused, deadline).await;
        renewed
            .map(|renewed| self.apply(transport, renewed))
            .is_some()
    }

    fn apply(&self, transport: &Transport, renewed: Renewed) -> u64 {
        let mut headers = self.others.clone();
        headers.extend(renewed.headers);
        transport.set_headers(headers);
        self.version.store(renewed.version, Relaxed);
        renewed.version
    }
}

#[cfg(test)]
mod tests;
