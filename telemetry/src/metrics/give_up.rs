//! The end of the process, for metrics.

use std::time::SystemTime;

use super::{MAX_REQUEST_BYTES, Metrics};
use crate::config::Temporality;

impl Metrics {
    /// Counts as dropped what no later export is going to send: what the collector has not taken,
    /// and what was not even collected because the collector is left alone.
    pub(crate) fn give_up(&self) {
        // An export that is still under way settles its points itself.
        let Ok(mut outbox) = self.outbox.try_lock() else {
            return;
        };
        let mut left = std::mem::take(&mut outbox.kept);
        if self.temporality != Temporality::Cumulative && !self.uplink.is_open() {
            let now = SystemTime::now();
            let collected = self.meters.collect(&self.resource, MAX_REQUEST_BYTES, now);
            left.extend(collected);
        }
        let points = left.iter().map(|request| request.points).sum();
        if points > 0 {
            self.drop_points(points);
        }
    }
}
