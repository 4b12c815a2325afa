//! Panics in code that the program provides.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use tracing::error;

/// Calls the program's code.
///
/// # Errors
///
/// Returns the message of the panic if the code panics.
pub(crate) fn catch_panic<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(panic_text)
}

/// Returns the message of a panic, and drops its payload. A panic of the payload's destructor does
/// not escape.
///
/// ```
/// use std::panic::catch_unwind;
///
/// let panic = catch_unwind(|| panic!("no price")).unwrap_err();
/// assert_eq!(baton_telemetry::panic_text(panic), "no price");
/// ```
#[must_use]
pub fn panic_text(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("the payload is not a string").to_owned();
    // Dropping the payload runs the program's code, which may panic again. The payload of that
    // second panic is leaked, because dropping it could panic once more.
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(another);
    }
    text
}

/// Calls a part of telemetry that the program provides. Panics are caught, and the first one is
/// logged.
#[derive(Debug)]
pub(crate) struct PartGuard {
    /// Kind of the part, for the log.
    part: &'static str,
    type_name: &'static str,
    /// Effect of a panic, for the log.
    effect: &'static str,
    /// Not a `Once`: the log line may call the part again, on the same thread.
    is_logged: AtomicBool,
}

impl PartGuard {
    pub(crate) fn new(part: &'static str, type_name: &'static str, effect: &'static str) -> Self {
        Self {
            part,
            type_name,
            effect,
            is_logged: AtomicBool::new(false),
        }
    }

    /// Returns `None` if the call panics.
    pub(crate) fn call<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        catch_panic(call).map_err(|panic| self.log(&panic)).ok()
    }

    fn log(&self, panic: &str) {
        if !self.is_logged.swap(true, Relaxed) {
            error!(
                part = self.part,
                type_name = self.type_name,
                panic,
                effect = self.effect,
                "a part of telemetry that the program provides panicked"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    struct PanicOnDrop(u8);

    impl Drop for PanicOnDrop {
        fn drop(&mut self) {
            if self.0 > 0 {
                panic_any(Self(self.0 - 1));
            }
        }
    }

    #[test]
    fn a_payload_that_panics_in_its_drop_does_not_escape() {
        let caught = catch_panic(|| panic_any(PanicOnDrop(2)));
        assert_eq!(caught, Err("the payload is not a string".to_owned()));
        assert_eq!(
            catch_panic(|| panic!("a {}", "b")),
            Err::<(), _>("a b".to_owned())
        );
        assert_eq!(catch_panic(|| 1), Ok(1));
    }
}
