//! Prints the logs of the function and the producer.

use anstyle::Style;
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::terminal::print_line;
use crate::environment::LogLine;
use crate::stack::{ProcessLog, Stack};

/// Style of the name of the process that wrote a line.
const DIMMED: Style = Style::new().dimmed();
/// Name of the producer before its lines.
const PRODUCER: &str = "producer";

/// Prints the function's log so far, then follows the logs of the function and the producer until
/// the stack stops.
pub(super) fn follow(stack: &Stack) {
    if let Some(log) = stack.producer_log() {
        tokio::spawn(print_lines(log.subscribe(), |line| {
            (PRODUCER.to_owned(), line.to_string())
        }));
    }
    let logs = stack.lambda().logs();
    let live = logs.subscribe();
    // No line is printed twice: the first environment has initialised and is frozen, so it writes
    // nothing between `subscribe` and `recent`.
    for line in logs.recent() {
        let (writer, text) = function_line(line);
        print_log_line(&writer, &text);
    }
    tokio::spawn(print_lines(live, function_line));
}

/// Prints the warnings and errors that the function and the producer have logged so far. They
/// usually concern the configuration, and the stack may not work until it is corrected.
pub(super) fn print_warnings(stack: &Stack) {
    let producer = stack.producer_log().map(ProcessLog::lines);
    for line in producer.unwrap_or_default() {
        if is_warning(&line) {
            print_log_line(PRODUCER, &line);
        }
    }
    for line in stack.lambda().logs().recent() {
        if is_warning(&line.text) {
            let (writer, text) = function_line(line);
            print_log_line(&writer, &text);
        }
    }
}

/// Returns true for a line of JSON with the level of a warning or an error, in the spellings of
/// common logging libraries. The level of other lines is unknown.
fn is_warning(line: &str) -> bool {
    #[derive(Deserialize)]
    struct JsonLine<'a> {
        level: &'a str,
    }
    serde_json::from_str::<JsonLine<'_>>(line)
        .is_ok_and(|line| matches!(line.level, "WARN" | "WARNING" | "ERROR" | "FATAL"))
}

fn function_line(line: LogLine) -> (String, String) {
    (
        format!("function {}", line.environment),
        line.text.to_string(),
    )
}

async fn print_lines<T: Clone>(mut lines: Receiver<T>, read: impl Fn(T) -> (String, String)) {
    loop {
        match lines.recv().await {
            Ok(line) => {
                let (writer, text) = read(line);
                print_log_line(&writer, &text);
            }
            Err(RecvError::Lagged(missed)) => {
                print_log_line("baton", &format!("skipped {missed} lines"))
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn print_log_line(writer: &str, text: &str) {
    print_line(format_args!("{DIMMED}{writer:<11}{DIMMED:#} {text}"));
}
