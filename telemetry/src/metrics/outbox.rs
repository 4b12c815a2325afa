//! What was collected, on its way to the collector.

use crate::encode::metrics::MetricsRequest;
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Outbox {
    max_bytes: usize,
    /// What the collector has not taken yet, the oldest first.
    pub(super) kept: VecDeque<MetricsRequest>,
}

impl Outbox {
    /// Keeps so many bytes at most.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            kept: VecDeque::new(),
        }
    }

    /// Adds what was collected. Above the bound the oldest is dropped; returns how many data points that were.
    pub(super) fn keep(&mut self, collected: Vec<MetricsRequest>) -> u64 {
        self.kept.extend(collected);
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
