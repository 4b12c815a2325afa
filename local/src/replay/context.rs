//! State shared by the layers that unpack one log.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The deepest nesting of packed data that is unpacked: gzip in base64 in gzip in gzip.
const MAX_DEPTH: usize = 4;
/// So much may be unpacked from an input however small it is.
const MIN_UNPACKED: u64 = 1024 * 1024 * 1024;
/// Beyond that, so many bytes for each byte that was read. Logs shrink to a tenth or a twentieth; gzip reaches a thousand, and a thousand
/// times that where it is nested, which only an input made for the purpose does.
const MAX_RATIO: u64 = 400;

/// A part of a log that could not be searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Position in the log, such as `byte 17` or `line 3, base64`.
    pub(crate) place: String,
    pub(crate) text: String,
}

/// Where a layer is, and where it reports what it cannot read.
#[derive(Clone, Debug)]
pub(super) struct Context {
    shared: Rc<Shared>,
    /// The packed data that this layer is in, from the outside.
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

    /// The context of data packed inside of this layer's; `None` where that is nested too deeply, which is reported.
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

    /// Everything reported since the last call.
    pub(super) fn take_unreadable(&self) -> Vec<Unreadable> {
        self.shared.unreadable.take()
    }

    /// Counts bytes of the log itself.
    pub(super) fn count_read(&self, bytes: usize) {
        self.shared.read.set(self.shared.read.get() + bytes as u64);
    }

    /// Counts unpacked bytes, and stops all unpacking of this log once they are out of proportion.
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
