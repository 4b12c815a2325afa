//! What was collected, on its way to the collector.

use std::collections::VecDeque;

use crate::otlp::encode::metrics::MetricsRequest;

#[derive(Debug)]
pub(super) struct Outbox {
    max_bytes: usize,
    /// What the collector has not taken yet, the oldest first.
    pub(super) kept: VecDeque<MetricsRequest>,
}

impl Outbox {
    /// Keeps so many bytes at most from one export to the next.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            kept: VecDeque::new(),
        }
    }

    /// Drops the oldest of what an export has left, down to the bound; returns how many data points
    /// that were.
    pub(super) fn trim(&mut self) -> u64 {
        let mut bytes: usize = self.kept.iter().map(|request| request.bytes.len()).sum();
        let mut dropped = 0;
        while bytes > self.max_bytes
            && let Some(oldest) = self.kept.pop_front()
        {
            bytes -= oldest.bytes.len();
            dropped += oldest.points;
        }
        dropped
    }
}
