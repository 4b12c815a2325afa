//! An environment's place in the pool, which is free again when this is dropped.

use crate::environment::{EnvironmentId, pool::Pool};

pub(super) struct Place<'a> {
    id: EnvironmentId,
    pool: &'a Pool,
}

impl<'a> Place<'a> {
    pub(super) fn of(id: EnvironmentId, pool: &'a Pool) -> Self {
        Self { id, pool }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pool.remove(self.id);
    }
}
