//! What was collected, on its way to the collector.

use crate::encode::ResourceFrame;
use crate::encode::metrics::{self, MetricsRequest};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use std::collections::VecDeque;

/// Requests are cut when they have become this long. Collectors take 4 MiB, and the last data point comes on top.
const MAX_REQUEST_BYTES: usize = 3 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The last collection, whose memory the next one uses again.
    pub(super) collected: ResourceMetrics,
    /// What the collector has not taken yet, the oldest first.
    pub(super) kept: VecDeque<MetricsRequest>,
}

impl Outbox {
    /// Encodes what was collected. Above `max_bytes` the oldest is dropped; returns how many data points that were.
    pub(super) fn keep_collected(&mut self, resource: &ResourceFrame, max_bytes: usize) -> u64 {
        let requests = metrics::requests(resource, &self.collected, MAX_REQUEST_BYTES);
        self.kept.extend(requests);
        let mut bytes: usize = self.kept.iter().map(|request| request.bytes.len()).sum();
        let mut dropped = 0;
        while bytes > max_bytes
            && let Some(oldest) = self.kept.pop_front()
        {
            bytes -= oldest.bytes.len();
            dropped += oldest.points;
        }
        dropped
    }
}
