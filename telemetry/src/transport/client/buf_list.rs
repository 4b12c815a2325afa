//! A request made of pieces that are already encoded.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Pieces sent one after the other without being copied together; a clone shares them, so that a
/// request can be sent again.
#[derive(Debug, Clone, Default)]
pub(crate) struct BufList {
    pieces: VecDeque<Bytes>,
    length: usize,
}

impl BufList {
    /// With room for so many pieces.
    pub(crate) fn with_capacity(pieces: usize) -> Self {
        Self {
            pieces: VecDeque::with_capacity(pieces),
            length: 0,
        }
    }

    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.length += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Puts a piece before the others.
    pub(crate) fn prepend(&mut self, piece: Bytes) {
        self.length += piece.len();
        self.pieces.push_front(piece);
    }

    /// Takes the first piece away.
    #[cfg(feature = "grpc")]
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.length -= piece.len();
        Some(piece)
    }
}

impl Buf for BufList {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pairs = slices.iter_mut().zip(&self.pieces);
        pairs
            .map(|(slice, piece)| *slice = IoSlice::new(piece))
            .count()
    }

    fn advance(&mut self, mut count: usize) {
        self.length -= count;
        while let Some(first) = self.pieces.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.pieces.pop_front();
        }
    }
}
