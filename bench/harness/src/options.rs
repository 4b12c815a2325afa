//! Command-line options.

use std::path::PathBuf;
use std::time::Duration;

use crate::condition::Condition;

/// Usage of the program.
const USAGE: &str = "usage: harness [--label TEXT] [--batch RECORDS] [--invocations COUNT] [--warm COUNT] \
[--collector-delay MILLISECONDS] [--collector ok|refuse|hang|status=CODE|retry-after=SECONDS|flaky=N] [--replay BATON] \
[--soak COUNT] [--set NAME=VALUE]... -- COMMAND [ARGUMENT]...";

/// Options of a run.
#[derive(Debug)]
pub(crate) struct Options {
    /// Copied to the output.
    pub(crate) label: String,
    /// Records in each invocation.
    pub(crate) batch: u64,
    /// Measured invocations. With zero, only the init phase is measured.
    pub(crate) invocations: u64,
    /// Invocations before the measured ones.
    pub(crate) warm: u64,
    /// Delay of each response of the collector.
    pub(crate) collector_delay: Duration,
    /// Condition of the collector during the measured invocations. Before them it works.
    pub(crate) condition: Condition,
    /// Path of the `baton` binary that replays the function's stdout after its exit, when the
    /// collector works again.
    pub(crate) replay: Option<PathBuf>,
    /// Invocations of a run that measures only memory growth.
    pub(crate) soak: Option<u64>,
    /// Environment variables of the function.
    pub(crate) variables: Vec<(String, String)>,
    /// Command that runs the function.
    pub(crate) command: Vec<String>,
}

/// Error in the arguments.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidOptions {
    #[error("unknown option {0}; {USAGE}")]
    UnknownOption(String),
    #[error("{option} needs {expected}; {USAGE}")]
    InvalidValue {
        option: String,
        expected: &'static str,
    },
    #[error("missing command; {USAGE}")]
    MissingCommand,
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
        if options.command.is_empty() {
            return Err(InvalidOptions::MissingCommand);
        }
        Ok(options)
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
            _ => return Err(InvalidOptions::UnknownOption(option)),
        };
        valid.map_err(|expected| InvalidOptions::InvalidValue { option, expected })
    }
}
