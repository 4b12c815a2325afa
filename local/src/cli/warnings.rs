//! Prints the warnings and errors that `baton`'s own code logs, in the format of its other messages
//! on standard error.

use std::{env, fmt};

use anstyle::{AnsiColor, Style};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::terminal::print_line;

/// Variable for the log filter, the same as in other Rust programs.
const LOG_VARIABLE: &str = "RUST_LOG";
/// Default log level: progress and results are printed anyway.
const DEFAULT_LEVEL: Level = Level::WARN;

/// Installs a subscriber that prints the events that `RUST_LOG` selects to standard error, one line
/// each.
pub(super) fn init() {
    let directives = env::var(LOG_VARIABLE).ok();
    let filter = parse_filter(directives.as_deref()).unwrap_or_else(|expected| {
        let directives = directives.unwrap_or_default();
        print_line(format_args!(
            "{WARNING}warning:{WARNING:#} {LOG_VARIABLE}={directives:?} is ignored: {expected}"
        ));
        Targets::new().with_default(DEFAULT_LEVEL)
    });
    let lines = tracing_subscriber::fmt::layer()
        .event_format(EventFormat)
        .with_writer(anstream::stderr);
    // An error means that a program that uses this library has installed its own subscriber.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
}

/// Parses the value of the variable; the error is the expected syntax.
fn parse_filter(directives: Option<&str>) -> Result<Targets, &'static str> {
    match directives {
        None | Some("") => Ok(Targets::new().with_default(DEFAULT_LEVEL)),
        Some(directives) => directives
            .parse()
            .map_err(|_| "expected a level, or a list of target=level"),
    }
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const DIMMED: Style = Style::new().dimmed();

/// Formats an event as one line of level, message and fields. Time and module are omitted, because
/// they do not help at a terminal.
struct EventFormat;

impl<S, N> FormatEvent<S, N> for EventFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (style, word) = match *event.metadata().level() {
            Level::ERROR => (ERROR, "error"),
            Level::WARN => (WARNING, "warning"),
            Level::INFO => (DIMMED, "info"),
            Level::DEBUG => (DIMMED, "debug"),
            Level::TRACE => (DIMMED, "trace"),
        };
        write!(writer, "{style}{word}:{style:#} ")?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_shown_unless_the_variable_says_otherwise() {
        for unset in [None, Some("")] {
            let filter = parse_filter(unset).unwrap();
            assert!(filter.would_enable("baton_local::mapping", &Level::WARN));
            assert!(!filter.would_enable("baton_local::mapping", &Level::INFO));
        }
        let directives = parse_filter(Some("error,baton_local::sqs=debug")).unwrap();
        assert!(directives.would_enable("baton_local::sqs", &Level::DEBUG));
        assert!(!directives.would_enable("baton_local::mapping", &Level::WARN));
        assert!(parse_filter(Some("baton_local=loud")).is_err());
    }
}
