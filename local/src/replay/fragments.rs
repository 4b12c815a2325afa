//! Joining of spans that were too long for one spill line.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;

use super::spill_line::Fragment;

/// Limit on the text of incomplete spans. The fragments of a span are usually close together.
const MAX_PENDING_BYTES: usize = 256 * 1024 * 1024;

/// Spans with missing fragments. Fragments may arrive in any order.
#[derive(Debug)]
pub(super) struct FragmentBuffer {
    spans: HashMap<String, FragmentedSpan>,
    /// Ids in the order of their first fragments.
    order: VecDeque<String>,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct FragmentedSpan {
    parts: u32,
    texts: BTreeMap<u32, String>,
}

/// A span with missing fragments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IncompleteSpan {
    pub(crate) id: String,
    /// Numbers of the missing fragments.
    pub(crate) missing: Vec<u32>,
    pub(crate) parts: u32,
}

impl fmt::Display for IncompleteSpan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Limit on the listed numbers.
        const MAX_LISTED: usize = 10;
        let Self { id, missing, parts } = self;
        let (noun, verb) = if missing.len() == 1 {
            ("fragment", "is")
        } else {
            ("fragments", "are")
        };
        write!(formatter, "spill {id}: {noun} ")?;
        for (at, number) in missing.iter().take(MAX_LISTED).enumerate() {
            let separator = if at > 0 { ", " } else { "" };
            write!(formatter, "{separator}{number}")?;
        }
        if missing.len() > MAX_LISTED {
            write!(formatter, " and {} more", missing.len() - MAX_LISTED)?;
        }
        write!(formatter, " of {parts} {verb} missing")
    }
}

impl FragmentBuffer {
    pub(super) fn new() -> Self {
        Self {
            spans: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            max_bytes: MAX_PENDING_BYTES,
        }
    }

    /// Adds a fragment, and returns the text of the span once it is complete.
    pub(super) fn add(&mut self, id: &str, fragment: Fragment) -> Option<String> {
        if !self.spans.contains_key(id) {
            self.order.push_back(id.to_owned());
        }
        let span = self
            .spans
            .entry(id.to_owned())
            .or_insert_with(|| FragmentedSpan {
                parts: fragment.parts,
                texts: BTreeMap::new(),
            });
        // A log may contain a line several times.
        if fragment.part <= span.parts && !span.texts.contains_key(&fragment.part) {
            self.bytes += fragment.text.len();
            span.texts.insert(fragment.part, fragment.text);
        }
        let is_whole = span.texts.len() == span.parts as usize;
        is_whole
            .then(|| self.remove(id).map(FragmentedSpan::text))
            .flatten()
    }

    /// Removes the oldest incomplete span if the text exceeds its limit.
    pub(super) fn remove_excess(&mut self) -> Option<IncompleteSpan> {
        if self.bytes <= self.max_bytes {
            return None;
        }
        self.remove_oldest()
    }

    /// Removes the incomplete span whose first fragment arrived first.
    pub(super) fn remove_oldest(&mut self) -> Option<IncompleteSpan> {
        let id = self.order.front()?.clone();
        let span = self.remove(&id)?;
        let missing = (1..=span.parts).filter(|part| !span.texts.contains_key(part));
        Some(IncompleteSpan {
            // A damaged line may state billions of fragments.
            missing: missing.take(1000).collect(),
            parts: span.parts,
            id,
        })
    }

    fn remove(&mut self, id: &str) -> Option<FragmentedSpan> {
        let span = self.spans.remove(id)?;
        self.order.retain(|other| other != id);
        self.bytes -= span.texts.values().map(String::len).sum::<usize>();
        Some(span)
    }
}

impl FragmentedSpan {
    fn text(self) -> String {
        self.texts.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(part: u32, parts: u32) -> Fragment {
        Fragment {
            part,
            parts,
            text: format!("<{part}>"),
        }
    }

    #[test]
    fn fragments_may_come_in_any_order_and_more_than_once() {
        let mut fragments = FragmentBuffer::new();
        for part in [3, 1, 3] {
            assert_eq!(fragments.add("a", fragment(part, 3)), None);
        }
        assert_eq!(fragments.add("b", fragment(1, 2)), None);
        assert_eq!(fragments.add("a", fragment(2, 3)).unwrap(), "<1><2><3>");
        let incomplete = fragments.remove_oldest().unwrap();
        assert_eq!(
            incomplete.to_string(),
            "spill b: fragment 2 of 2 is missing"
        );
        assert_eq!((fragments.remove_oldest(), fragments.bytes), (None, 0));
    }

    #[test]
    fn many_missing_fragments_are_abbreviated() {
        let mut fragments = FragmentBuffer::new();
        fragments.add("a", fragment(13, 13));
        let text = fragments.remove_oldest().unwrap().to_string();
        let expected =
            "spill a: fragments 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more of 13 are missing";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_oldest_spans_are_removed_first() {
        let mut fragments = FragmentBuffer::new();
        fragments.max_bytes = 8;
        for id in ["a", "b"] {
            fragments.add(id, fragment(1, 2));
            assert_eq!(fragments.remove_excess(), None);
        }
        fragments.add("c", fragment(1, 2));
        assert_eq!(fragments.remove_excess().unwrap().id, "a");
        assert_eq!(fragments.remove_excess(), None);
    }
}
