//! The way to a collector that may be broken.

use crate::config::Otlp;
use crate::http::Frames;
use crate::signal::Signal;
use crate::transport::{Transport, TransportError};
use bytes::Bytes;
use tokio::time::Instant;

/// What exporters send through.
#[derive(Debug)]
pub(crate) struct Uplink {
    transport: Transport,
}

impl Uplink {
    pub(crate) fn new(signal: Signal, otlp: &Otlp) -> Self {
        Self {
            transport: Transport::new(signal, otlp),
        }
    }

    /// The end of one request's time, were it sent now.
    pub(crate) fn patience(&self) -> Instant {
        self.transport.patience()
    }

    /// Sends a request, as [`Transport::send`] does.
    pub(crate) async fn send(
        &self,
        request: Frames,
        deadline: Instant,
    ) -> Result<Bytes, TransportError> {
        self.transport.send(request, deadline).await
    }
}
