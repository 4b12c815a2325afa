//! State shared by the layers that unpack one log.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Limit on the nesting of packed data, which allows for gzip in base64 in gzip in gzip.
const MAX_DEPTH: usize = 4;
/// Bytes that may be unpacked from an input of any size.
const MIN_UNPACKED: u64 = 1024 * 1024 * 1024;
/// Unpacked bytes allowed per byte read beyond that. Logs compress ten- to twentyfold. Gzip can
/// reach a thousandfold, and a millionfold when nested, but only in a crafted input.
const MAX_RATIO: u64 = 400;

/// A part of a log that could not be searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Position in the log, such as `byte 17` or `line 3, base64`.
    pub(crate) place: String,
    pub(crate) text: String,
}

/// Position of a layer, and the list to which it reports parts that it cannot read.
#[derive(Clone, Debug)]
pub(super) struct Context {
    shared: Rc<Shared>,
    /// The packed data that contains this layer, outermost first.
    within: String,
    depth: usize,
}

#[derive(Debug)]
struct Shared {
    unreadable: RefCell<Vec<Unreadable>>,
    read: Cell<u64>,
    unpacked: Cell<u64>,
    min_unpacked: u64,
    is_stopped: Cell<bool>,
}

impl Context {
    pub(super) fn new() -> Self {
        Self::with_limit(MIN_UNPACKED)
    }

    pub(super) fn with_limit(min_unpacked: u64) -> Self {
        let shared = Shared {
            unreadable: RefCell::default(),
            read: Cell::new(0),
            unpacked: Cell::new(0),
            min_unpacked,
            is_stopped: Cell::new(false),
        };
        Self {
            shared: Rc::new(shared),
            within: String::new(),
            depth: 0,
        }
    }

    /// Returns the context for data packed inside this layer; reports data that is nested too
    /// deeply and returns `None`.
    pub(super) fn nested(&self, place: &str, form: &str) -> Option<Self> {
        if self.depth == MAX_DEPTH {
            self.report(
                place,
                format!("{form} is nested more than {MAX_DEPTH} deep and is not unpacked"),
            );
            return None;
        }
        Some(Self {
            shared: Rc::clone(&self.shared),
            within: format!("{}{place}, {form}: ", self.within),
            depth: self.depth + 1,
        })
    }

    pub(super) fn is_outermost(&self) -> bool {
        self.depth == 0
    }

    pub(super) fn report(&self, place: &str, text: impl Into<String>) {
        self.shared.unreadable.borrow_mut().push(Unreadable {
            place: format!("{}{place}", self.within),
            text: text.into(),
        });
    }

    /// Takes everything reported since the last call.
    pub(super) fn take_unreadable(&self) -> Vec<Unreadable> {
        self.shared.unreadable.take()
    }

    /// Counts bytes of the log itself.
    pub(super) fn count_read(&self, bytes: usize) {
        self.shared.read.set(self.shared.read.get() + bytes as u64);
    }

    /// Counts unpacked bytes, and stops unpacking this log once they exceed the limit.
    pub(super) fn count_unpacked(&self, bytes: usize, place: &str) {
        let Shared {
            read,
            unpacked,
            min_unpacked,
            is_stopped,
            ..
        } = &*self.shared;
        unpacked.set(unpacked.get() + bytes as u64);
        let limit = read.get().saturating_mul(MAX_RATIO).max(*min_unpacked);
        if unpacked.get() > limit && !is_stopped.replace(true) {
            let (read, unpacked) = (read.get(), unpacked.get());
            self.report(
                place,
                format!("{read} bytes unpack to more than {unpacked}: the rest is not unpacked"),
            );
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.shared.is_stopped.get()
    }
}
