//! Lines of styled text whose width is known, for a terminal that need not be wide.

use std::fmt;

use anstyle::{AnsiColor, Style};

/// Nothing that is printed is wider: 80 columns less a margin on either side.
pub(super) const WIDTH: usize = 78;

/// Names of spans and messages.
pub(super) const NAME: Style = Style::new().bold();
/// What went well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What went wrong.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// What is of second rank.
pub(super) const FAINT: Style = Style::new().dimmed();
/// Everything else.
pub(super) const PLAIN: Style = Style::new();

/// A line of text, piece by piece.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pieces: Vec<(Style, String)>,
}

impl Line {
    pub(super) fn new(style: Style, text: impl Into<String>) -> Self {
        Self::default().and(style, text)
    }

    /// Adds a piece at the end.
    pub(super) fn and(mut self, style: Style, text: impl Into<String>) -> Self {
        self.pieces.push((style, text.into()));
        self
    }

    /// Adds a line at the end.
    pub(super) fn join(mut self, other: Self) -> Self {
        self.pieces.extend(other.pieces);
        self
    }

    /// Adds a piece so that it ends in the last column, or one space behind the rest if that is too long already.
    pub(super) fn flush_right(self, style: Style, text: impl Into<String>) -> Self {
        let text = text.into();
        let gap = WIDTH
            .saturating_sub(self.width() + text.chars().count())
            .max(1);
        self.and(PLAIN, " ".repeat(gap)).and(style, text)
    }

    /// How many columns it takes. Every character used here takes one.
    pub(super) fn width(&self) -> usize {
        self.pieces
            .iter()
            .map(|(_, text)| text.chars().count())
            .sum()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = formatter.alternate();
        self.pieces.iter().try_for_each(|(style, text)| {
            if plain || *style == PLAIN {
                formatter.write_str(text)
            } else {
                write!(formatter, "{style}{text}{style:#}")
            }
        })
    }
}

/// A duration with three digits that matter: `412 µs`, `3.14 ms`, `2.05 s`.
pub(super) fn duration(seconds: f64) -> String {
    let milliseconds = seconds * 1e3;
    match milliseconds {
        ..0.9995 => format!("{:.0} µs", seconds * 1e6),
        ..9.995 => format!("{milliseconds:.2} ms"),
        ..99.95 => format!("{milliseconds:.1} ms"),
        ..999.5 => format!("{milliseconds:.0} ms"),
        _ => format!("{seconds:.2} s"),
    }
}

/// `1 message`, `2 messages`.
pub(super) fn count(number: i64, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits() {
        let read = [
            0.000_000_4,
            0.000_412,
            0.003_141,
            0.012_34,
            0.412,
            0.9999,
            2.0499,
            61.0,
        ]
        .map(duration);
        assert_eq!(
            read,
            [
                "0 µs", "412 µs", "3.14 ms", "12.3 ms", "412 ms", "1.00 s", "2.05 s", "61.00 s"
            ]
        );
    }

    #[test]
    fn a_flush_right_piece_ends_in_the_last_column() {
        assert_eq!(
            Line::new(NAME, "left").flush_right(FAINT, "right").width(),
            WIDTH
        );
        assert_eq!(
            format!(
                "{:#}",
                Line::new(NAME, "x".repeat(WIDTH)).flush_right(FAINT, "y")
            )
            .len(),
            WIDTH + 2
        );
    }

    #[test]
    fn the_alternate_form_has_no_escapes() {
        let line = Line::new(BAD, "bad").and(PLAIN, " plain");
        assert_eq!(format!("{line:#}"), "bad plain");
        assert!(format!("{line}").contains('\u{1b}'));
    }
}
