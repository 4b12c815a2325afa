//! Prints the logs of the function and the producer while the stack runs.

use anstyle::Style;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::terminal::print_line;
use crate::environment::LogLine;
use crate::stack::Stack;

/// Style of the name of the process that wrote a line.
const DIMMED: Style = Style::new().dimmed();

/// Prints the function's log so far, then follows the logs of the function and the producer until
/// the stack stops.
pub(super) fn follow(stack: &Stack) {
    if let Some(log) = stack.producer_log() {
        tokio::spawn(print_lines(log.subscribe(), |line| {
            ("producer".to_owned(), line.to_string())
        }));
    }
    let logs = stack.function().logs();
    let live = logs.subscribe();
    // No line is printed twice: the first environment has initialised and is frozen, so it writes
    // nothing between `subscribe` and `recent`.
    for line in logs.recent() {
        let (writer, text) = function_line(line);
        print_log_line(&writer, &text);
    }
    tokio::spawn(print_lines(live, function_line));
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
