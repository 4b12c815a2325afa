//! An environment's place in the pool, which is free again when this is dropped.

use crate::environment::{EnvironmentId, pool::Pool};

pub(super) struct PoolSlot<'a> {
    id: EnvironmentId,
    pool: &'a Pool,
}

impl<'a> PoolSlot<'a> {
    pub(super) fn new(id: EnvironmentId, pool: &'a Pool) -> Self {
        Self { id, pool }
    }
}

impl Drop for PoolSlot<'_> {
    fn drop(&mut self) {
        self.pool.remove(self.id);
    }
}
