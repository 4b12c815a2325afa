//! What was collected, on its way to the collector.

use crate::encode::metrics::MetricsRequest;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// What the collector has not taken yet, the oldest first.
    pub(super) kept: VecDeque<MetricsRequest>,
}

impl Outbox {
    /// Adds what was collected. Above `max_bytes` the oldest is dropped; returns how many data points that were.
    pub(super) fn keep(&mut self, collected: Vec<MetricsRequest>, max_bytes: usize) -> u64 {
        self.kept.extend(collected);
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
