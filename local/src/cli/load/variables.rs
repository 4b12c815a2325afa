//! Environment variables for the options of `baton load`.
//!
//! They become arguments before clap parses them, so that an empty variable counts as unset, and an
//! option on the command line takes precedence over the variable of an option that it conflicts
//! with. With clap's own variables, both would be errors.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};

/// Prefix of the variables. The rest is the option's name in upper case.
const PREFIX: &str = "BATON_LOAD_";
/// Variable for the profile if neither `--profile` nor its own variable is given.
const DEMO_MODE: &str = "DEMO_MODE";
/// Options without a variable: those for a local stack, and those that choose an action.
const WITHOUT_VARIABLE: [&str; 4] = ["function", "producer", "serve", "help"];
/// Options of one run, and of the check after it. A server gets the former with each request.
const RUN: [&str; 9] = [
    "rate",
    "concurrency",
    "expected-interval",
    "duration",
    "json",
    "queue-url",
    "dead-letter-queue-url",
    "table",
    "settle-timeout",
];
/// Options that only a closed loop has.
const CLOSED_LOOP: [&str; 2] = ["concurrency", "expected-interval"];
/// Options that only an open loop has.
const OPEN_LOOP: [&str; 2] = ["rate", "max-outstanding"];
/// Options that a local stack does not have.
const TARGET: [&str; 7] = [
    "url",
    "header",
    "ca-certificate",
    "faults-enabled",
    "queue-url",
    "dead-letter-queue-url",
    "table",
];

/// Options whose values come from variables, with the names of these variables.
#[derive(Debug, Default)]
pub(in crate::cli) struct Variables(BTreeMap<String, String>);

/// Options on the command line, with their values.
struct Given(BTreeMap<String, String>);

/// Returns the variable of an option.
pub(super) fn variable_name(option: &str) -> Option<String> {
    let has_variable = !WITHOUT_VARIABLE.contains(&option);
    has_variable.then(|| format!("{PREFIX}{}", option.to_uppercase().replace('-', "_")))
}

/// Appends the name of the variable to the help text. Clap would print it in a separate paragraph,
/// and with its value.
pub(super) fn with_variable_in_help(argument: Arg) -> Arg {
    let variable = argument.get_long().and_then(variable_name);
    match (argument.get_help(), variable) {
        (Some(help), Some(variable)) => {
            let alternative = match argument.get_long() {
                Some("profile") => format!(" or {DEMO_MODE}"),
                _ => String::new(),
            };
            let help = format!("{help} [env: {variable}{alternative}]");
            argument.help(help)
        }
        _ => argument,
    }
}

impl Variables {
    /// Appends the options that only the environment sets to `arguments`, which begin with the
    /// program and the name of the subcommand.
    pub(in crate::cli) fn add_to(
        arguments: &mut Vec<OsString>,
        command: &Command,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Error> {
        let given = Given::new(arguments);
        let mut used = BTreeMap::new();
        let mut added = Vec::new();
        for argument in command.get_arguments() {
            let Some(option) = argument.get_long() else {
                continue;
            };
            let Some((variable, value)) = find(option, &lookup) else {
                continue;
            };
            if given.contains(&[option]) || given.overrides(option, &value) {
                continue;
            }
            if argument.get_action().takes_values() {
                for value in split(option, value) {
                    let mut argument = OsString::from(format!("--{option}="));
                    argument.push(value);
                    added.push(argument);
                }
            } else if is_true(&variable, &value)? {
                added.push(format!("--{option}").into());
            } else {
                continue;
            }
            used.insert(option.to_owned(), variable);
        }
        // Arguments after `--` would not be options.
        let end = arguments.iter().position(|argument| argument == "--");
        let end = end.unwrap_or(arguments.len());
        arguments.splice(end..end, added);
        Ok(Self(used))
    }

    /// Adds the names of the variables to an error in the options that they set.
    pub(in crate::cli) fn explain(&self, mut error: Error) -> Error {
        if self.0.is_empty() || !error.use_stderr() {
            return error;
        }
        if self.0.contains_key("header") && error.kind() == ErrorKind::ValueValidation {
            let invalid = error.get(ContextKind::InvalidArg).map(ToString::to_string);
            if invalid.is_some_and(|invalid| invalid.starts_with("--header")) {
                // The value may be a secret, and the output of a Job is kept.
                let hidden = ContextValue::String("(not shown)".to_owned());
                error.insert(ContextKind::InvalidValue, hidden);
            }
        }
        let mut is_named = false;
        for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
            let named = match error.get(kind) {
                Some(ContextValue::String(option)) => self.name(option).map(ContextValue::String),
                Some(ContextValue::Strings(options))
                    if error.kind() == ErrorKind::ArgumentConflict =>
                {
                    let options = options.iter();
                    let named = options.map(|option| self.name(option).unwrap_or(option.clone()));
                    Some(ContextValue::Strings(named.collect()))
                }
                _ => None,
            };
            if let Some(named) = named {
                error.insert(kind, named);
                is_named = true;
            }
        }
        if is_named {
            return error;
        }
        let used = self.0.iter();
        let used = used.map(|(option, variable)| format!("{variable} (--{option})"));
        let used = used.collect::<Vec<_>>().join(", ");
        let tip = format!("options set by environment variables: {used}");
        if error.context().next().is_some() {
            let tip = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
            error.insert(ContextKind::Suggested, tip);
            return error;
        }
        // The error of a check after parsing, which consists of its text.
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        Error::raw(error.kind(), format!("{}\n\n  tip: {tip}", text.trim_end()))
    }

    /// Adds its variable to an option, such as `--rate <N>`.
    fn name(&self, option: &str) -> Option<String> {
        let long = option.strip_prefix("--")?;
        let long = long.split([' ', '=']).next()?;
        let variable = self.0.get(long)?;
        Some(format!("{option} (set by {variable})"))
    }
}

impl Given {
    fn new(arguments: &[OsString]) -> Self {
        let mut given = BTreeMap::new();
        let mut arguments = arguments.iter().peekable();
        while let Some(argument) = arguments.next() {
            let argument = argument.to_string_lossy();
            if argument == "--" {
                break;
            }
            let Some(option) = argument.strip_prefix("--") else {
                continue;
            };
            let (option, value) = match option.split_once('=') {
                Some((option, value)) => (option, value.to_owned()),
                None => {
                    let value = arguments.peek().map(|value| value.to_string_lossy());
                    (option, value.unwrap_or_default().into_owned())
                }
            };
            given.insert(option.to_owned(), value);
        }
        Self(given)
    }

    fn contains(&self, options: &[&str]) -> bool {
        options.iter().any(|option| self.0.contains_key(*option))
    }

    /// Returns true if an option on the command line conflicts with one that a variable sets.
    fn overrides(&self, option: &str, value: &OsString) -> bool {
        let has_changing_rate = |profile: &str| profile == "ramp" || profile == "blackfriday";
        let profile = self.0.get("profile").map(String::as_str);
        (self.contains(&["serve"]) && RUN.contains(&option))
            || (self.contains(&["function", "producer"]) && TARGET.contains(&option))
            || (self.contains(&CLOSED_LOOP) && OPEN_LOOP.contains(&option))
            || (self.contains(&CLOSED_LOOP)
                && option == "profile"
                && value.to_str().is_some_and(has_changing_rate))
            || (CLOSED_LOOP.contains(&option)
                && (self.contains(&OPEN_LOOP) || profile.is_some_and(has_changing_rate)))
            || (option == "faults-enabled" && profile.is_some_and(|name| name != "blackfriday"))
    }
}

/// Returns the variable that sets an option, and its value.
fn find(option: &str, lookup: impl Fn(&str) -> Option<OsString>) -> Option<(String, OsString)> {
    let variable = variable_name(option)?;
    let alternative = (option == "profile").then(|| DEMO_MODE.to_owned());
    [Some(variable), alternative]
        .into_iter()
        .flatten()
        .find_map(|variable| {
            let value = lookup(&variable).filter(|value| !value.is_empty())?;
            Some((variable, value))
        })
}

/// Returns the values of an option that may be repeated: one per line.
fn split(option: &str, value: OsString) -> Vec<OsString> {
    match value.to_str() {
        Some(text) if option == "header" => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            lines.map(OsString::from).collect()
        }
        _ => vec![value],
    }
}

fn is_true(variable: &str, value: &OsString) -> Result<bool, Error> {
    match value.to_str() {
        Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        _ => Err(Error::raw(
            ErrorKind::InvalidValue,
            format!("invalid value {value:?} for {variable}: expected true or false"),
        )),
    }
}
