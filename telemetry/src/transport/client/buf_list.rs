//! Requests that consist of several encoded buffers.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Buffers that are sent in order, without being copied into one. A clone shares them, so that a
/// request can be sent again.
#[derive(Debug, Clone, Default)]
pub(crate) struct BufList {
    buffers: VecDeque<Bytes>,
    length: usize,
}

impl BufList {
    /// Creates a list with capacity for this number of buffers.
    pub(crate) fn with_capacity(buffers: usize) -> Self {
        Self {
            buffers: VecDeque::with_capacity(buffers),
            length: 0,
        }
    }

    pub(crate) fn push(&mut self, buffer: Bytes) {
        if !buffer.is_empty() {
            self.length += buffer.len();
            self.buffers.push_back(buffer);
        }
    }

    /// Adds a buffer at the front.
    pub(crate) fn prepend(&mut self, buffer: Bytes) {
        self.length += buffer.len();
        self.buffers.push_front(buffer);
    }

    /// Removes the first buffer.
    #[cfg(feature = "grpc")]
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let buffer = self.buffers.pop_front()?;
        self.length -= buffer.len();
        Some(buffer)
    }
}

impl Buf for BufList {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        self.buffers.front().map_or(&[], |buffer| buffer)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pairs = slices.iter_mut().zip(&self.buffers);
        pairs
            .map(|(slice, buffer)| *slice = IoSlice::new(buffer))
            .count()
    }

    fn advance(&mut self, mut count: usize) {
        self.length -= count;
        while let Some(first) = self.buffers.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.buffers.pop_front();
        }
    }
}
