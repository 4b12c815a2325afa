//! Output of processes, line by line: read from pipes, and kept for later readers.

mod history;
mod reader;

pub(crate) use self::history::{LineHistory, LogText};
pub(crate) use self::reader::LineReader;

/// Maximum number of lines that an error quotes, so that they fit on a screen with the error.
const QUOTED_LINES: usize = 15;

/// Returns the last of these lines, indented for an error message, or a note if there are none.
pub(crate) fn tail<'a>(lines: impl ExactSizeIterator<Item = &'a str>) -> String {
    if lines.len() == 0 {
        return "  (no output)".to_owned();
    }
    let skipped = lines.len().saturating_sub(QUOTED_LINES);
    let quoted = lines.skip(skipped).map(|line| format!("  {line}"));
    quoted.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_limited_and_reports_empty_output() {
        assert_eq!(tail([].into_iter()), "  (no output)");
        let mut lines = vec!["early"; 100];
        lines.push("last");
        let tail = tail(lines.into_iter());
        assert_eq!(tail.lines().count(), QUOTED_LINES);
        assert!(tail.ends_with("\n  early\n  last"), "{tail}");
    }
}
