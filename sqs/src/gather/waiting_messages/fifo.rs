//! The waiting messages of a FIFO queue.

use std::collections::{BTreeMap, HashMap};

use tokio::time::Instant;

use crate::gather::batch::Batch;
use crate::gather::config::GroupOrder;
use crate::gather::entry::Entry;
use crate::limits::MAX_BATCH_MESSAGES;

/// Messages in the order of their groups. A group with a message in flight, or with one that waits
/// to be sent again, is busy: its other messages wait.
#[derive(Debug)]
pub(in crate::gather) struct FifoQueueMessages {
    order: GroupOrder,
    /// Groups that have a message here or are busy.
    groups: HashMap<String, Group>,
    /// Groups that have a message and are not busy, by the time and position of their first
    /// message.
    idle: BTreeMap<(Instant, u64), String>,
    /// Number of messages of idle groups.
    idle_messages: usize,
}

#[derive(Debug, Default)]
struct Group {
    /// By their position in the order of arrival.
    waiting: BTreeMap<u64, Entry>,
    /// Number of messages that were taken for a batch and are neither accepted nor failed.
    taken: usize,
}

impl Group {
    fn idle_key(&self) -> Option<(Instant, u64)> {
        let first = self.waiting.first_key_value();
        let (sequence, first) = first.filter(|_| self.taken == 0)?;
        Some((first.due, *sequence))
    }
}

impl FifoQueueMessages {
    pub(super) fn new(order: GroupOrder) -> Self {
        Self {
            order,
            groups: HashMap::new(),
            idle: BTreeMap::new(),
            idle_messages: 0,
        }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        let name = entry.group().to_owned();
        let group = self.groups.entry(name.clone()).or_default();
        group.waiting.insert(entry.sequence, entry);
        if group.taken == 0 {
            self.idle_messages += 1;
        }
        if group.waiting.len() == 1 {
            self.set_idle(name);
        }
    }

    pub(super) fn readmit(&mut self, entry: Entry) {
        let name = entry.group().to_owned();
        if let Some(group) = self.groups.get_mut(&name) {
            group.waiting.insert(entry.sequence, entry);
        }
        self.settle(&name);
    }

    pub(super) fn settle(&mut self, name: &str) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        group.taken = group.taken.saturating_sub(1);
        if group.taken > 0 {
            return;
        }
        if group.waiting.is_empty() {
            self.groups.remove(name);
        } else {
            self.idle_messages += group.waiting.len();
            self.set_idle(name.to_owned());
        }
    }

    pub(super) fn earliest_due(&self) -> Option<Instant> {
        let ((due, _), _) = self.idle.first_key_value()?;
        Some(*due)
    }

    pub(super) fn has_full_batch(&self) -> bool {
        let sendable = match self.order {
            GroupOrder::Strict => self.idle.len(),
            GroupOrder::Batched => self.idle_messages,
        };
        sendable >= MAX_BATCH_MESSAGES
    }

    pub(super) fn make_due(&mut self, now: Instant) {
        for entry in self
            .groups
            .values_mut()
            .flat_map(|group| group.waiting.values_mut())
        {
            entry.due = entry.due.min(now);
        }
        let idle = std::mem::take(&mut self.idle);
        for name in idle.into_values() {
            self.set_idle(name);
        }
    }

    pub(super) fn take_batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        // Groups that are still idle when the batch is full are put back.
        let mut skipped = Vec::new();
        while let Some((_, name)) = self.idle.pop_first() {
            let is_full = !self.take_from_group(&name, &mut batch);
            match self.groups.get(&name) {
                Some(group) if group.taken == 0 && group.waiting.is_empty() => {
                    self.groups.remove(&name);
                }
                Some(group) if group.taken == 0 => skipped.push(name),
                _ => {}
            }
            if is_full {
                break;
            }
        }
        for name in skipped {
            self.set_idle(name);
        }
        batch
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.values().all(|group| group.waiting.is_empty())
    }

    pub(super) fn remove(&mut self, name: &str, sequence: u64) -> Option<Entry> {
        let group = self.groups.get_mut(name)?;
        let entry = group.waiting.remove(&sequence)?;
        if group.taken > 0 {
            return Some(entry);
        }
        self.idle_messages -= 1;
        if group.waiting.is_empty() {
            self.groups.remove(name);
        }
        // `idle` has the group under the key of its first message, so the key changes only if that
        // one was removed.
        if let Some(name) = self.idle.remove(&(entry.due, sequence)) {
            self.set_idle(name);
        }
        Some(entry)
    }

    /// Removes the messages of a group that is busy.
    pub(super) fn drain_group(&mut self, name: &str) -> Vec<Entry> {
        let group = self.groups.get_mut(name).filter(|group| group.taken > 0);
        let waiting = group.map(|group| std::mem::take(&mut group.waiting));
        waiting.unwrap_or_default().into_values().collect()
    }

    pub(super) fn drain(&mut self) -> Vec<Entry> {
        self.idle.clear();
        self.idle_messages = 0;
        let mut entries = Vec::new();
        self.groups.retain(|_, group| {
            entries.extend(std::mem::take(&mut group.waiting).into_values());
            group.taken > 0
        });
        entries.sort_by_key(|entry| entry.sequence);
        entries
    }

    /// Moves messages of an idle group to the batch. Returns `false` if the batch does not accept
    /// the next one.
    fn take_from_group(&mut self, name: &str, batch: &mut Batch) -> bool {
        let Some(group) = self.groups.get_mut(name) else {
            return true;
        };
        let most = match self.order {
            GroupOrder::Strict => 1,
            GroupOrder::Batched => MAX_BATCH_MESSAGES,
        };
        let waiting = group.waiting.len();
        let mut has_room = true;
        while let Some(first) = group.waiting.first_entry().filter(|_| group.taken < most) {
            let is_abandoned = first.get().is_abandoned();
            has_room = is_abandoned || batch.accepts(first.get());
            if !has_room {
                break;
            }
            let entry = first.remove();
            if !is_abandoned {
                group.taken += 1;
                batch.push(entry);
            }
        }
        // The messages of a busy group do not count.
        self.idle_messages -= if group.taken > 0 {
            waiting
        } else {
            waiting - group.waiting.len()
        };
        has_room
    }

    fn set_idle(&mut self, name: String) {
        let key = self.groups.get(&name).and_then(Group::idle_key);
        if let Some(key) = key {
            self.idle.insert(key, name);
        }
    }
}
