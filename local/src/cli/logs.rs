//! What the function and the producer log, shown while the stack runs.

use anstyle::Style;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::terminal::say;
use crate::stack::Stack;

/// Who wrote a line.
const FAINT: Style = Style::new().dimmed();

/// Shows both logs from now on, until the stack is gone.
pub(super) fn follow(stack: &Stack) {
    tokio::spawn(show(stack.producer_log().subscribe(), |line| {
        ("producer".to_owned(), line.to_string())
    }));
    tokio::spawn(show(stack.function().logs().subscribe(), |line| {
        (
            format!("function {}", line.environment),
            line.text.to_string(),
        )
    }));
}

async fn show<T: Clone>(mut lines: Receiver<T>, read: impl Fn(T) -> (String, String)) {
    loop {
        match lines.recv().await {
            Ok(line) => {
                let (writer, text) = read(line);
                write(&writer, &text);
            }
            Err(RecvError::Lagged(missed)) => {
                write("baton", &format!("{missed} lines were too many to show"))
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn write(writer: &str, text: &str) {
    say(format_args!("{FAINT}{writer:<11}{FAINT:#} {text}"));
}
