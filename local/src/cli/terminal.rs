//! Progress and errors, which go to standard error. Results go to standard output.

use std::error::Error;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use terminal_size::terminal_size_of;

use crate::demo::Width;

/// Style of a success.
const SUCCESS: Style = AnsiColor::Green.on_default();
/// Style of an error.
const FAILURE: Style = AnsiColor::Red.on_default().bold();
/// Style of secondary information.
const DIMMED: Style = Style::new().dimmed();
/// Columns of a mark and the space after it.
const MARK_COLUMNS: usize = 2;
/// Minimum duration that is printed.
const MIN_PRINTED_DURATION: Duration = Duration::from_millis(50);

/// Progress messages, with the time since the previous one.
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

    /// Prints the start of an action that may take a while.
    pub(super) fn begin(&mut self, what: &str) {
        print_marked(DIMMED, '·', what);
        self.last = Instant::now();
    }

    /// Prints the success of an action.
    pub(super) fn done(&mut self, what: &str) {
        self.end(SUCCESS, '✓', what);
    }

    /// Prints the failure of an action.
    pub(super) fn failed(&mut self, what: &str) {
        self.end(FAILURE, '✗', what);
    }

    fn end(&mut self, style: Style, mark: char, what: &str) {
        let taken = self.last.elapsed();
        self.last = Instant::now();
        if taken < MIN_PRINTED_DURATION {
            print_marked(style, mark, what);
        } else {
            // A no-break space keeps the number and its unit on one line.
            let seconds = taken.as_secs_f64();
            print_marked(style, mark, &format!("{what} ({seconds:.1}\u{a0}s)"));
        }
    }
}

/// Prints text after a mark, on as many lines as the terminal needs.
fn print_marked(style: Style, mark: char, what: &str) {
    let mut prefix = format!("{style}{mark}{style:#} ");
    for line in width(io::stderr()).break_lines(what, MARK_COLUMNS) {
        print_line(format_args!("{prefix}{line}"));
        prefix = " ".repeat(MARK_COLUMNS);
    }
}

/// Prints an error and its causes, one per line.
pub(super) fn error(error: &dyn Error) {
    print_line(format_args!("{FAILURE}error:{FAILURE:#} {error}"));
    let mut cause = error.source();
    while let Some(error) = cause {
        print_line(format_args!("  {DIMMED}caused by:{DIMMED:#} {error}"));
        cause = error.source();
    }
}

/// Returns the width of `stream`, or the full width if it is not a terminal.
pub(super) fn width(stream: impl AsFd) -> Width {
    match terminal_size_of(stream) {
        Some((columns, _)) => Width::from_columns(columns.0),
        None => Width::FULL,
    }
}

/// Prints a line to standard error.
pub(super) fn print_line(line: std::fmt::Arguments<'_>) {
    // An error cannot be reported anywhere else.
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}
