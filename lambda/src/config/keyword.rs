//! Settings that are one of a few keywords.

/// A setting whose variable has one of a few keywords as its value.
pub(crate) trait Keyword: Copy + 'static {
    /// All values of the setting.
    const ALL: &'static [Self];

    /// Returns the keyword of this value, as the variable contains it.
    fn keyword(self) -> &'static str;

    /// Parses a keyword, which is not case-sensitive, as in the variables of `baton-telemetry`.
    fn from_keyword(text: &str) -> Option<Self> {
        let is_named = |value: &&Self| text.eq_ignore_ascii_case(value.keyword());
        Self::ALL.iter().find(is_named).copied()
    }
}

impl Keyword for bool {
    const ALL: &'static [Self] = &[true, false];

    fn keyword(self) -> &'static str {
        if self { "on" } else { "off" }
    }
}
