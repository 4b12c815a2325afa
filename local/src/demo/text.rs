//! Lines of styled text with a known width, for terminals that may be narrow.

use std::fmt;

use anstyle::{AnsiColor, Style};

/// Width of the output in columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width(usize);

impl Width {
    /// Maximum width: 80 columns less a margin on either side. Longer lines are harder to read.
    pub const FULL: Self = Self(78);
    /// Minimum width, which the table of counts needs, and a retry with its delivery and queue
    /// time.
    pub const LEAST: Self = Self(44);

    /// Returns the width for a terminal, between [`LEAST`](Self::LEAST) and [`FULL`](Self::FULL).
    #[must_use]
    pub fn from_columns(columns: u16) -> Self {
        Self(usize::from(columns).clamp(Self::LEAST.0, Self::FULL.0))
    }

    /// Breaks `text` between words, so that each line fits after `indent` columns. A word that is
    /// too long stays in one piece.
    pub(crate) fn break_lines(self, text: &str, indent: usize) -> Vec<String> {
        let columns = self.0.saturating_sub(indent);
        let mut lines: Vec<String> = Vec::new();
        for word in text.split(' ') {
            match lines.last_mut() {
                Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        lines
    }

    pub(super) fn columns(self) -> usize {
        self.0
    }
}

/// Style of names of spans and messages.
pub(super) const NAME: Style = Style::new().bold();
/// Style of a success.
pub(super) const SUCCESS: Style = AnsiColor::Green.on_default();
/// Style of a failure.
pub(super) const FAILURE: Style = AnsiColor::Red.on_default();
/// Style of secondary information.
pub(super) const DIMMED: Style = Style::new().dimmed();
/// Style of other text.
pub(super) const PLAIN: Style = Style::new();

/// A line of text in styled pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct StyledLine {
    pieces: Vec<(Style, String)>,
}

impl StyledLine {
    pub(super) fn new(style: Style, text: impl Into<String>) -> Self {
        Self::default().with_text(style, text)
    }

    /// Adds a piece at the end, unless it is empty.
    pub(super) fn with_text(mut self, style: Style, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.pieces.push((style, text));
        }
        self
    }

    /// Adds the pieces of another line at the end.
    pub(super) fn append(mut self, other: Self) -> Self {
        self.pieces.extend(other.pieces);
        self
    }

    /// Adds a piece that ends in the last column, or after one space if the line is too long.
    pub(super) fn align_right(self, style: Style, text: impl Into<String>, width: Width) -> Self {
        let text = text.into();
        let gap = width
            .columns()
            .saturating_sub(self.width() + text.chars().count())
            .max(1);
        self.with_text(PLAIN, " ".repeat(gap))
            .with_text(style, text)
    }

    /// Returns the number of columns. Every character used here takes one.
    pub(super) fn width(&self) -> usize {
        self.pieces
            .iter()
            .map(|(_, text)| text.chars().count())
            .sum()
    }
}

impl fmt::Display for StyledLine {
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

/// Formats a duration with three significant digits: `412 µs`, `3.14 ms`, `2.05 s`.
pub(crate) fn duration(seconds: f64) -> String {
    let milliseconds = seconds * 1e3;
    match milliseconds {
        ..0.9995 => format!("{:.0} µs", seconds * 1e6),
        ..9.995 => format!("{milliseconds:.2} ms"),
        ..99.95 => format!("{milliseconds:.1} ms"),
        ..999.5 => format!("{milliseconds:.0} ms"),
        _ => format!("{seconds:.2} s"),
    }
}

/// Breaks `text` into lines. The first one begins with `first`, the others are indented by the same
/// width.
pub(super) fn wrap(first: StyledLine, style: Style, text: &str, width: Width) -> Vec<StyledLine> {
    let indent = first.width();
    let mut first = Some(first);
    let lines = width.break_lines(text, indent).into_iter();
    lines
        .map(|line| {
            let begun = first.take();
            begun
                .unwrap_or_else(|| StyledLine::new(PLAIN, " ".repeat(indent)))
                .with_text(style, line)
        })
        .collect()
}

/// Shortens `text` to `columns`, with an ellipsis at the end.
pub(super) fn truncate(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept = text.chars().take(columns.saturating_sub(1));
    kept.chain(std::iter::once('…')).collect()
}

/// Formats a count: `1 message`, `2 messages`.
pub(crate) fn pluralise(number: i64, noun: &str) -> String {
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
    fn right_aligned_text_ends_in_the_last_column() {
        for width in [Width::LEAST, Width::from_columns(60), Width::FULL] {
            let line = StyledLine::new(NAME, "left").align_right(DIMMED, "right", width);
            assert_eq!(line.width(), width.columns());
        }
        let full = StyledLine::new(NAME, "x".repeat(Width::FULL.columns()));
        let over = full.align_right(DIMMED, "y", Width::FULL);
        assert_eq!(over.width(), Width::FULL.columns() + 2);
    }

    #[test]
    fn the_width_is_limited_in_both_directions() {
        let widths =
            [0, 43, 44, 60, 78, 79, u16::MAX].map(|columns| Width::from_columns(columns).0);
        assert_eq!(widths, [44, 44, 44, 60, 78, 78, 78]);
    }

    #[test]
    fn text_is_broken_between_words_only() {
        let text = format!("demo-01: {} is wrong", "x".repeat(50));
        let lines = wrap(StyledLine::new(FAILURE, "✗ "), PLAIN, &text, Width::LEAST);
        let lines = lines.iter().map(|line| format!("{line:#}"));
        let expected = [
            "✗ demo-01:".to_owned(),
            format!("  {}", "x".repeat(50)),
            "  is wrong".to_owned(),
        ];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn truncated_text_ends_with_an_ellipsis() {
        assert_eq!(
            ["four", "fives"].map(|text| truncate(text, 4)),
            ["four", "fiv…"]
        );
    }

    #[test]
    fn the_alternate_form_has_no_escapes() {
        let line = StyledLine::new(FAILURE, "bad").with_text(PLAIN, " plain");
        assert_eq!(format!("{line:#}"), "bad plain");
        assert!(format!("{line}").contains('\u{1b}'));
    }
}
