//! What the person at the terminal sees while something happens. Results go to standard output,
//! everything here to standard error.

use std::error::Error;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use terminal_size::terminal_size_of;

use crate::demo::Width;

/// Headings, and what went well.
const SUCCESS: Style = AnsiColor::Green.on_default();
/// What went wrong.
const FAILURE: Style = AnsiColor::Red.on_default().bold();
/// What is of second rank.
const DIMMED: Style = Style::new().dimmed();
/// Columns of a mark and the space behind it.
const MARK_COLUMNS: usize = 2;
/// Durations below this are not worth telling.
const SHOWN_FROM: Duration = Duration::from_millis(50);

/// Says that something has begun or been done, with the time since the last word.
#[derive(Debug)]
pub(super) struct Progress {
    last: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            last: Instant::now(),
        }
    }

    /// Something begins that may take a while.
    pub(super) fn begin(&mut self, what: &str) {
        print_marked(DIMMED, '·', what);
        self.last = Instant::now();
    }

    /// Something was done.
    pub(super) fn done(&mut self, what: &str) {
        self.end(SUCCESS, '✓', what);
    }

    /// Something did not happen.
    pub(super) fn missed(&mut self, what: &str) {
        self.end(FAILURE, '✗', what);
    }

    fn end(&mut self, style: Style, mark: char, what: &str) {
        let taken = self.last.elapsed();
        self.last = Instant::now();
        if taken < SHOWN_FROM {
            print_marked(style, mark, what);
        } else {
            // A no-break space: the number stays with its unit.
            let seconds = taken.as_secs_f64();
            print_marked(style, mark, &format!("{what} ({seconds:.1}\u{a0}s)"));
        }
    }
}

/// Says something behind a mark, over as many lines as the terminal needs.
fn print_marked(style: Style, mark: char, what: &str) {
    let mut beginning = format!("{style}{mark}{style:#} ");
    for line in width(io::stderr()).break_lines(what, MARK_COLUMNS) {
        say(format_args!("{beginning}{line}"));
        beginning = " ".repeat(MARK_COLUMNS);
    }
}

/// Reports an error with all its causes, one a line.
pub(super) fn error(error: &dyn Error) {
    say(format_args!("{FAILURE}error:{FAILURE:#} {error}"));
    let mut cause = error.source();
    while let Some(error) = cause {
        say(format_args!("  {DIMMED}because:{DIMMED:#} {error}"));
        cause = error.source();
    }
}

/// How many columns `stream` has to print in; what is no terminal has as many as one wants.
pub(super) fn width(stream: impl AsFd) -> Width {
    match terminal_size_of(stream) {
        Some((columns, _)) => Width::from_columns(columns.0),
        None => Width::FULL,
    }
}

/// Writes one line to standard error.
pub(super) fn say(line: std::fmt::Arguments<'_>) {
    // When nobody can read it any more, nothing is left to be done about it.
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}
