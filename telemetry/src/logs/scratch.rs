//! A thread's place to write a line or a record in, kept from one to the next.

use std::cell::Cell;

/// What an unusually long line has taken is given back.
const MAX_KEPT: usize = 64 * 1024;

thread_local! {
    static KEPT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends the place, empty. Whoever asks for it while it is lent has another one: what is logged may
/// log something itself.
pub(super) fn with<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    // A thread that is about to end has none any more.
    let mut lent = KEPT.try_with(Cell::take).unwrap_or_default();
    lent.clear();
    let written = write(&mut lent);
    if lent.capacity() <= MAX_KEPT {
        let _ = KEPT.try_with(|kept| kept.set(lent));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_while_another_writes_has_a_place_of_its_own() {
        with(|outer| {
            outer.extend(b"outer");
            with(|inner| {
                assert!(inner.is_empty());
                inner.extend(b"inner");
            });
            assert_eq!(outer, b"outer");
        });
        with(|next| assert!(next.is_empty() && next.capacity() > 0));
    }

    #[test]
    fn the_room_of_a_very_long_line_is_given_back() {
        with(|out| out.resize(2 * MAX_KEPT, 0));
        with(|next| assert!(next.capacity() <= MAX_KEPT));
    }
}
