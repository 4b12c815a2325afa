//! A buffer of each thread, in which lines are formatted and records are encoded.

use std::cell::Cell;

/// Capacity up to which a buffer is kept. That of an unusually long line is freed.
const MAX_CAPACITY: usize = 64 * 1024;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Calls `write` with an empty buffer. A nested call gets another one: code that formats a field
/// may log or end a span.
pub(crate) fn with<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    // The buffer may already have been dropped when its thread exits.
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    buffer.clear();
    let written = write(&mut buffer);
    if buffer.capacity() <= MAX_CAPACITY {
        let _ = BUFFER.try_with(|kept| kept.set(buffer));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_call_gets_a_buffer_of_its_own() {
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
    fn the_capacity_of_a_very_long_line_is_freed() {
        with(|out| out.resize(2 * MAX_CAPACITY, 0));
        with(|next| assert!(next.capacity() <= MAX_CAPACITY));
    }
}
