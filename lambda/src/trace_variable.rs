//! Sets `_X_AMZN_TRACE_ID`, the environment variable with the trace header of the current
//! invocation.
//!
//! AWS SDKs copy it into their requests, which is how Lambda stops a function that sends messages
//! to its own queue (Lambda developer guide, "Use Lambda recursive loop detection"), and X-Ray's
//! SDKs read it. A runtime therefore has to set it. `std::env::set_var` calls `setenv`, and glibc
//! never frees a value that `setenv` has set, because a caller of `getenv` may still hold a pointer
//! to it: 160 bytes for each invocation, until the process ends. `putenv` leaves the memory to its
//! caller.
//!
//! This is the only module of the workspace with `unsafe` code.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};
use std::{env, mem};

const NAME: &str = "_X_AMZN_TRACE_ID";
/// Room for the name and a value with `Root`, `Parent`, `Sampled` and `Lineage`, which has about
/// 110 bytes. A longer value gets a larger buffer.
const CAPACITY: usize = 256;

/// Two buffers for `NAME=value` and a NUL, written alternately, so that a thread that copies the
/// value while the next one is set does not see it change.
///
/// The buffers are never freed, because the environment points to them until the process ends.
#[derive(Debug, Default)]
pub(crate) struct TraceIdVariable {
    current: &'static [AtomicU8],
    spare: &'static [AtomicU8],
    is_set: bool,
}

impl TraceIdVariable {
    /// Sets the variable to `trace_id`, or removes it for `None`. A value that contains NUL cannot
    /// be set and also removes the variable.
    pub(crate) fn set(&mut self, trace_id: Option<&str>) {
        match trace_id.filter(|value| !value.contains('\0')) {
            Some(value) => self.assign(value),
            None => self.remove(),
        }
    }

    fn assign(&mut self, value: &str) {
        if !self.is_set {
            // SAFETY: `set_var` holds the lock that std's readers take, so only C code that reads
            // the environment on another thread could race. Lambda requires every runtime to set
            // this variable, and `lambda_runtime` also calls `set_var` here, between two
            // invocations, when no handler runs. `set_var` adds the variable, because libc may then
            // move the environment.
            unsafe { env::set_var(NAME, "") };
            self.is_set = true;
        }
        let assignment = self.write(value).as_ptr();
        // SAFETY: The buffer lives until the process ends. Its last byte is always NUL and its
        // bytes are atomic, so a reader during a change stays inside the buffer, and Rust code has
        // no data race. `putenv` does not write to the buffer; `cast_mut` only satisfies its
        // prototype. Because the variable is already set, glibc and musl replace a single pointer,
        // so a reader on another thread, which holds no lock, sees the old value or the new one.
        let _ = unsafe { libc::putenv(assignment.cast_mut().cast()) };
    }

    fn remove(&mut self) {
        if self.is_set {
            // SAFETY: `remove_var` has the same contract as `set_var`, which is met as described
            // there.
            unsafe { env::remove_var(NAME) };
            self.is_set = false;
        }
    }

    /// Writes the assignment into the buffer that the environment does not point to.
    fn write(&mut self, value: &str) -> &'static [AtomicU8] {
        mem::swap(&mut self.current, &mut self.spare);
        let length = NAME.len() + 1 + value.len();
        if length >= self.current.len() {
            self.current = new_buffer(length);
        }
        let text = NAME.bytes().chain([b'=']).chain(value.bytes()).chain([0]);
        for (byte, new) in self.current.iter().zip(text) {
            byte.store(new, Ordering::Relaxed);
        }
        self.current
    }
}

/// Returns a buffer for `length` bytes and a NUL. Sizes are powers of two, which bounds the memory
/// leaked when values keep growing.
fn new_buffer(length: usize) -> &'static [AtomicU8] {
    let size = (length + 1).next_power_of_two().max(CAPACITY);
    let bytes: Vec<AtomicU8> = (0..size).map(|_| AtomicU8::new(0)).collect();
    bytes.leak()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";

    /// Returns the text up to the first NUL, which `getenv` returns.
    fn text(buffer: &[AtomicU8]) -> String {
        let bytes = buffer.iter().map(|byte| byte.load(Ordering::Relaxed));
        let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_buffer_holds_only_the_current_assignment() {
        let mut variable = TraceIdVariable::default();
        let long = format!("{HEADER};Lineage={}", "1:fc3b4ff1:".repeat(100));
        for value in [HEADER, "Root=1", "", &long, HEADER, "Root=1", &long] {
            let buffer = variable.write(value);
            assert_eq!(text(buffer), format!("_X_AMZN_TRACE_ID={value}"));
            assert_eq!(buffer.last().unwrap().load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn two_buffers_are_written_in_turn() {
        let mut variable = TraceIdVariable::default();
        let mut write = || variable.write(HEADER).as_ptr();
        let (first, second) = (write(), write());
        assert_ne!(first, second);
        assert_eq!([write(), write(), write()], [first, second, first]);
    }
}
