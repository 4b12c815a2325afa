//! Checks of options against each other, as part of parsing the command line, before anything is
//! built.

use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

use super::StackOptions;

/// Maximum number of messages in one receive. AWS requires a batching window for larger batches.
const MAX_BATCH_WITHOUT_WINDOW: usize = 10;
/// Minimum window for larger batches.
const MIN_WINDOW: Duration = Duration::from_secs(1);

/// Options that AWS accepts together.
#[derive(Clone, Debug)]
pub(in crate::cli) struct CheckedStackOptions(pub(in crate::cli) StackOptions);

impl CheckedStackOptions {
    fn new(settings: StackOptions) -> Result<Self, Error> {
        match conflict(&settings) {
            // Clap adds the usage, and exits with its own exit code.
            Some(conflict) => Err(Error::raw(ErrorKind::ValueValidation, conflict)),
            None => Ok(Self(settings)),
        }
    }
}

fn conflict(settings: &StackOptions) -> Option<String> {
    let StackOptions {
        batch_size,
        batching_window,
        function_timeout,
        visibility_timeout,
        ..
    } = settings;
    if batch_size.get() > MAX_BATCH_WITHOUT_WINDOW && *batching_window < MIN_WINDOW {
        return Some(format!(
            "--batch-size {batch_size} requires a --batching-window of at least {MIN_WINDOW:?}"
        ));
    }
    if function_timeout > visibility_timeout {
        return Some(format!(
            "--function-timeout {function_timeout:?} is longer than --visibility-timeout {visibility_timeout:?}: \
             messages would become visible again while the function still handles them"
        ));
    }
    None
}

/// Appends the default value to the help text. Clap would print it in a separate paragraph after a
/// line of spaces.
pub(in crate::cli) fn with_inline_default(argument: Arg) -> Arg {
    let takes_value = argument.get_action().takes_values();
    let default = argument.get_default_values().first();
    match (argument.get_help(), default) {
        (Some(help), Some(default)) if takes_value && !argument.is_hide_default_value_set() => {
            let help = format!("{help} [default: {}]", default.to_string_lossy());
            argument.help(help).hide_default_value(true)
        }
        _ => argument,
    }
}

impl FromArgMatches for CheckedStackOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Self::new(StackOptions::from_arg_matches(matches)?)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        Self::new(StackOptions::from_arg_matches_mut(matches)?)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        let mut updated = self.0.clone();
        updated.update_from_arg_matches(matches)?;
        *self = Self::new(updated)?;
        Ok(())
    }
}

impl Args for CheckedStackOptions {
    fn group_id() -> Option<clap::Id> {
        StackOptions::group_id()
    }

    fn augment_args(command: Command) -> Command {
        StackOptions::augment_args(command).mut_args(with_inline_default)
    }

    fn augment_args_for_update(command: Command) -> Command {
        StackOptions::augment_args_for_update(command)
    }
}
