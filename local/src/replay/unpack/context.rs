//! State of unpacking a log.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Limit on the nesting of compressed and encoded data, which allows for gzip in base64 in gzip in
/// gzip.
const MAX_DEPTH: usize = 4;
/// Number of bytes that may be unpacked from an input of any size.
const MIN_UNPACKED: u64 = 1024 * 1024 * 1024;
/// Limit on the unpacked bytes per byte read, once `MIN_UNPACKED` is exceeded. Logs compress ten-
/// to twentyfold. Gzip reaches a thousandfold, and a millionfold if nested, only in a crafted
/// input.
const MAX_RATIO: u64 = 400;

/// A part of a log that could not be searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnreadablePart {
    /// Position in the log, such as `byte 17` or `line 3, base64`.
    pub(crate) position: String,
    pub(crate) text: String,
}

/// Position of nested data in a log, and the list of unreadable parts of that log.
#[derive(Clone, Debug)]
pub(in crate::replay) struct UnpackContext {
    state: Rc<UnpackState>,
    /// Positions and formats of the data that contains this data, outermost first.
    path: String,
    depth: usize,
}

#[derive(Debug)]
struct UnpackState {
    unreadable: RefCell<Vec<UnreadablePart>>,
    read: Cell<u64>,
    unpacked: Cell<u64>,
    min_unpacked: u64,
    is_stopped: Cell<bool>,
}

impl UnpackContext {
    pub(in crate::replay) fn new() -> Self {
        Self::with_limit(MIN_UNPACKED)
    }

    pub(in crate::replay) fn with_limit(min_unpacked: u64) -> Self {
        let state = UnpackState {
            unreadable: RefCell::default(),
            read: Cell::new(0),
            unpacked: Cell::new(0),
            min_unpacked,
            is_stopped: Cell::new(false),
        };
        Self {
            state: Rc::new(state),
            path: String::new(),
            depth: 0,
        }
    }

    /// Returns the context of data that is nested in this data. Reports data that is nested too
    /// deeply, and returns `None` for it.
    pub(in crate::replay) fn nested(&self, position: &str, format: &str) -> Option<Self> {
        if self.depth == MAX_DEPTH {
            self.report(
                position,
                format!("{format} is nested more than {MAX_DEPTH} levels deep and is not unpacked"),
            );
            return None;
        }
        Some(Self {
            state: Rc::clone(&self.state),
            path: format!("{}{position}, {format}: ", self.path),
            depth: self.depth + 1,
        })
    }

    pub(in crate::replay) fn is_outermost(&self) -> bool {
        self.depth == 0
    }

    pub(in crate::replay) fn report(&self, position: &str, text: impl Into<String>) {
        self.state.unreadable.borrow_mut().push(UnreadablePart {
            position: format!("{}{position}", self.path),
            text: text.into(),
        });
    }

    /// Returns the parts reported since the last call.
    pub(in crate::replay) fn take_unreadable(&self) -> Vec<UnreadablePart> {
        self.state.unreadable.take()
    }

    /// Counts bytes of the log itself.
    pub(in crate::replay) fn count_read(&self, bytes: usize) {
        self.state.read.set(self.state.read.get() + bytes as u64);
    }

    /// Counts unpacked bytes, and stops unpacking this log once they exceed the limit.
    pub(in crate::replay) fn count_unpacked(&self, bytes: usize, position: &str) {
        let UnpackState {
            read,
            unpacked,
            min_unpacked,
            is_stopped,
            ..
        } = &*self.state;
        unpacked.set(unpacked.get() + bytes as u64);
        let limit = read.get().saturating_mul(MAX_RATIO).max(*min_unpacked);
        if unpacked.get() > limit && !is_stopped.replace(true) {
            let (read, unpacked) = (read.get(), unpacked.get());
            self.report(
                position,
                format!("{read} bytes unpack to more than {unpacked}: the rest is not unpacked"),
            );
        }
    }

    pub(in crate::replay) fn is_stopped(&self) -> bool {
        self.state.is_stopped.get()
    }
}
