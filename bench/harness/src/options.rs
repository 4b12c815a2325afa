//! What to run, and how often.

use std::path::PathBuf;
use std::time::Duration;

use crate::condition::Condition;

/// How the program is called.
const USAGE: &str = "usage: harness [--label TEXT] [--batch RECORDS] [--invocations COUNT] [--warm COUNT] \
[--collector-delay MILLISECONDS] [--collector ok|refuse|hang|status=CODE|retry-after=SECONDS|flaky=N] [--replay BATON] \
[--soak COUNT] [--set NAME=VALUE]... -- COMMAND [ARGUMENT]...";

/// One run.
#[derive(Debug)]
pub(crate) struct Options {
    /// Copied to the output.
    pub(crate) label: String,
    /// Records in each invocation.
    pub(crate) batch: u64,
    /// Invocations that are measured; with none, only the start is.
    pub(crate) invocations: u64,
    /// Invocations before those.
    pub(crate) warm: u64,
    /// How long the collector takes for each answer.
    pub(crate) collector_delay: Duration,
    /// What the collector is like while it is measured; in the invocations before, it works.
    pub(crate) condition: Condition,
    /// The `baton` that sends on what the function wrote to stdout, once it has ended and the
    /// collector works again.
    pub(crate) replay: Option<PathBuf>,
    /// Number of invocations in a run that measures only memory growth.
    pub(crate) soak: Option<u64>,
    /// Variables of the function.
    pub(crate) variables: Vec<(String, String)>,
    /// The function, perhaps behind something that runs it.
    pub(crate) command: Vec<String>,
}

/// What is wrong with the arguments.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidOptions {
    #[error("{0} is not known; {USAGE}")]
    Unknown(String),
    #[error("{option} needs {expected}; {USAGE}")]
    Value {
        option: String,
        expected: &'static str,
    },
    #[error("there is no command to run; {USAGE}")]
    NoCommand,
}

impl Options {
    pub(crate) fn parse(
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<Self, InvalidOptions> {
        let mut options = Self {
            label: String::new(),
            batch: 10,
            invocations: 100,
            warm: 0,
            collector_delay: Duration::ZERO,
            condition: Condition::Working,
            replay: None,
            soak: None,
            variables: Vec::new(),
            command: Vec::new(),
        };
        while let Some(option) = arguments.next() {
            if option == "--" {
                options.command = arguments.by_ref().collect();
                break;
            }
            options.set(option, arguments.next())?;
        }
        match options.command.is_empty() {
            true => Err(InvalidOptions::NoCommand),
            false => Ok(options),
        }
    }

    fn set(&mut self, option: String, value: Option<String>) -> Result<(), InvalidOptions> {
        let text = value.unwrap_or_default();
        let number = text.parse::<u64>().ok();
        let count = number.ok_or("a whole number");
        let valid = match option.as_str() {
            "--label" => {
                self.label = text;
                Ok(())
            }
            "--batch" => count.map(|count| self.batch = count.max(1)),
            "--invocations" => count.map(|count| self.invocations = count),
            "--warm" => count.map(|count| self.warm = count),
            "--soak" => count.map(|count| self.soak = Some(count)),
            "--collector-delay" => {
                count.map(|count| self.collector_delay = Duration::from_millis(count))
            }
            "--collector" => match Condition::parse(&text) {
                Some(condition) => {
                    self.condition = condition;
                    Ok(())
                }
                None => Err("ok, refuse, hang, status=CODE, retry-after=SECONDS or flaky=N"),
            },
            "--replay" => {
                self.replay = Some(text.into());
                Ok(())
            }
            "--set" => match text.split_once('=') {
                Some((name, value)) => {
                    self.variables.push((name.to_owned(), value.to_owned()));
                    Ok(())
                }
                None => Err("NAME=VALUE"),
            },
            _ => return Err(InvalidOptions::Unknown(option)),
        };
        valid.map_err(|expected| InvalidOptions::Value { option, expected })
    }
}
