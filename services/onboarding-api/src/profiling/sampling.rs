//! Takes the samples of a profile, and names their functions.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use rpprof::{ProfilerGuard, ProfilerGuardBuilder};
use tempfile::NamedTempFile;

use super::parameters::ProfileParameters;
use super::pprof::{ProfileBuilder, Stack};

/// Name of a function without a symbol.
const UNKNOWN_FUNCTION: &str = "(unknown)";

/// A finished profile.
#[derive(Debug)]
pub(super) struct FinishedProfile {
    /// The profile in the format of pprof, compressed with gzip.
    pub(super) encoded: Vec<u8>,
    pub(super) samples: u64,
    /// Samples that were not taken, because a sample of another thread was being stored.
    pub(super) missed_samples: u64,
    /// There are samples, but no function has a name.
    pub(super) is_without_symbols: bool,
}

/// An error that prevents a profile.
#[derive(Debug, thiserror::Error)]
pub(super) enum SamplingError {
    #[error("{0}")]
    Profiler(rpprof::Error),
    #[error(
        "cannot create a temporary file in {folder}: {0}: make the folder writable, or restart the service with TMPDIR set to a writable folder, such as /dev/shm",
        folder = std::env::temp_dir().display()
    )]
    TemporaryFile(io::Error),
    #[error(
        "cannot read the profiler's temporary file in {folder}: {0}: it must not be deleted during a profile; retry the request, and if that fails, restart the service with TMPDIR set to a writable folder, such as /dev/shm",
        folder = std::env::temp_dir().display()
    )]
    LostFile(io::Error),
    #[error(
        "the profiler could not create a temporary file in {folder} at the end of an earlier profile, and cannot start again in this process: restart the service with TMPDIR set to a writable folder, such as /dev/shm",
        folder = std::env::temp_dir().display()
    )]
    NotStopped,
    #[error("the request was cancelled")]
    Cancelled,
    #[error("cannot compress the profile: {0}")]
    Compression(io::Error),
}

/// Takes samples, and blocks the thread meanwhile. It ends early, without a profile, if the sender
/// of `request_dropped` is dropped.
///
/// # Errors
///
/// Returns an error if the profiler cannot be started, or if it ended early.
pub(super) fn take_samples(
    parameters: ProfileParameters,
    request_dropped: &Receiver<()>,
) -> Result<FinishedProfile, SamplingError> {
    // The profiler needs a file at the end of the profile. Without this check, the request would
    // fail only then, and every later one until a restart.
    NamedTempFile::new().map_err(SamplingError::TemporaryFile)?;
    let profiler = start(parameters.frequency)?;
    match request_dropped.recv_timeout(parameters.duration()) {
        Err(RecvTimeoutError::Timeout) => {}
        Ok(()) | Err(RecvTimeoutError::Disconnected) => return Err(SamplingError::Cancelled),
    }
    finish(profiler, parameters)
}

fn start(frequency: u32) -> Result<ProfilerGuard<'static>, SamplingError> {
    // The largest frequency fits into any integer.
    let frequency = i32::try_from(frequency).unwrap_or(i32::MAX);
    let builder = ProfilerGuardBuilder::default().frequency(frequency);
    let profiler = builder.clone().build().map_err(explain)?;
    if profiler.report().build_unresolved().is_ok() {
        return Ok(profiler);
    }
    // The file has been deleted since the last profile. The profiler creates one when it stops.
    drop(profiler);
    builder.build().map_err(explain)
}

/// Returns the cause of an error of the profiler, which keeps samples in a temporary file if there
/// are too many for its buffer. It opens the file by its path to read it, and creates the next one
/// when it stops. If it cannot, it counts as running until the process ends.
fn explain(error: rpprof::Error) -> SamplingError {
    match error {
        rpprof::Error::IoError(error) => SamplingError::LostFile(error),
        // Only one profile is taken at a time, so another cannot be the reason. The profiler's
        // creation fails only if it cannot create its file, and is not repeated.
        rpprof::Error::Running | rpprof::Error::CreatingError => SamplingError::NotStopped,
        error => SamplingError::Profiler(error),
    }
}

fn finish(
    profiler: ProfilerGuard<'static>,
    parameters: ProfileParameters,
) -> Result<FinishedProfile, SamplingError> {
    let report = profiler.report().build_unresolved();
    let report = report.map_err(explain)?;
    // Names are looked up after the end, because that also needs CPU time.
    drop(profiler);
    let mut names = FunctionNames::default();
    let mut profile = ProfileBuilder::new(parameters.frequency);
    for (sample, count) in &report.data {
        let count = u64::try_from(*count).unwrap_or_default();
        let thread = &sample.thread_name[..sample.thread_name_length];
        let functions = sample.frames.iter().map(|frame| names.name(frame.ip));
        profile.add(Stack {
            functions: functions.collect(),
            thread: String::from_utf8_lossy(thread).into_owned(),
            count,
        });
    }
    let timing = &report.timing;
    Ok(FinishedProfile {
        samples: profile.samples(),
        missed_samples: report.missed_samples,
        is_without_symbols: names.are_all_unknown(),
        encoded: profile
            .encode(timing.start_time, timing.duration)
            .map_err(SamplingError::Compression)?,
    })
}

/// Names of functions by addresses in their code.
///
/// A function that the compiler has inlined counts as the one that contains it. The profiler merges
/// stacks whose functions are the same, and keeps the addresses of only one of them, so that it is
/// unknown which of the inlined functions were running.
#[derive(Debug, Default)]
struct FunctionNames {
    names: HashMap<usize, String>,
    has_name: bool,
}

impl FunctionNames {
    fn name(&mut self, address: usize) -> String {
        if let Some(name) = self.names.get(&address) {
            return name.clone();
        }
        let mut name = None;
        // Inlined functions come first, and last the function that contains them.
        backtrace::resolve(address as *mut _, |symbol| {
            // The alternate form leaves out the hash.
            name = symbol
                .name()
                .map(|name| without_trait(&format!("{name:#}")));
        });
        self.has_name |= name.is_some();
        let name = name.unwrap_or_else(|| UNKNOWN_FUNCTION.to_owned());
        self.names.insert(address, name.clone());
        name
    }

    fn are_all_unknown(&self) -> bool {
        !self.names.is_empty() && !self.has_name
    }
}

/// Returns `Type::method` for `<Type as Trait>::method`. `go tool pprof` leaves out what is in
/// angle brackets, and would show only `::method`.
fn without_trait(name: &str) -> String {
    let Some(inner) = name.strip_prefix('<') else {
        return name.to_owned();
    };
    let mut depth = 0_usize;
    let mut type_end = None;
    for (index, character) in inner.char_indices() {
        match character {
            '<' => depth += 1,
            // The arrow in a function's type is not a bracket.
            '>' if inner[..index].ends_with('-') => {}
            '>' if depth == 0 => {
                let type_end = type_end.unwrap_or(index);
                return format!("{}{}", &inner[..type_end], &inner[index + 1..]);
            }
            '>' => depth -= 1,
            ' ' if depth == 0 && inner[index..].starts_with(" as ") => {
                type_end.get_or_insert(index);
            }
            _ => {}
        }
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_of_a_trait_has_the_name_of_its_type() {
        for (name, expected) in [
            (
                "<hyper::Connection<T, S> as core::future::Future>::poll",
                "hyper::Connection<T, S>::poll",
            ),
            (
                "<F as Call<fn(A) -> B>>::call::{{closure}}",
                "F::call::{{closure}}",
            ),
            ("<alloc::vec::Vec<T>>::push", "alloc::vec::Vec<T>::push"),
            (
                "core::ptr::drop_in_place<A as B>",
                "core::ptr::drop_in_place<A as B>",
            ),
            ("<unclosed", "<unclosed"),
        ] {
            assert_eq!(without_trait(name), expected);
        }
    }

    #[test]
    fn an_address_without_a_symbol_is_unknown() {
        let mut names = FunctionNames::default();
        assert_eq!(names.name(1), UNKNOWN_FUNCTION);
        assert!(names.are_all_unknown());
    }
}
