use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn unfold(log: &str) -> String {
    let mut text = String::new();
    unfold_yaml(log.as_bytes())
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[test]
fn a_folded_string_is_one_line_and_later_lines_keep_their_numbers() {
    let log = "events:\n- message: \"{\\\"a\\\"\\\n    :1,\n    \\\"b\\\"\\\n    \\ c\"\n  timestamp: 1\n";
    let expected =
        "events:\n- message: \"{\\\"a\\\":1, \\\"b\\\"\\u0020c\"\n\n\n\n  timestamp: 1\n";
    assert_eq!(unfold(log), expected);
}

#[test]
fn a_single_quoted_string_loses_its_quotation_marks() {
    let log = "- message: '{\"a\":\"it''s\n    here\"}'\n";
    assert_eq!(unfold(log), "- message: {\"a\":\"it's here\"}\n\n");
}

#[test]
fn blank_lines_in_a_string_are_line_breaks() {
    assert_eq!(unfold("a: \"b\n\n\n  c\"\n"), "a: \"b\\n\\nc\"\n\n\n\n");
}

#[test]
fn a_folded_block_becomes_one_line() {
    let log = "- message: >-\n    {\"a\":1,\n    \"b\": 2}\n\n  timestamp: 1\n";
    let expected = "- message: {\"a\":1, \"b\": 2}\n\n\n\n  timestamp: 1\n";
    assert_eq!(unfold(log), expected);
    // The block ends at the end of the log, and lines with more indentation keep their line breaks.
    assert_eq!(
        unfold("a: >\n  b\n\n  c\n    d\n  e"),
        "a: b\nc\n  d\ne\n\n\n\n\n"
    );
}

#[test]
fn keys_may_be_quoted_and_list_elements_may_lack_a_key() {
    for start in ["\"message\": ", "- 'message': ", "- ", "- - "] {
        let log = format!("{start}'{{\"a\":\n      1}}'\n");
        assert_eq!(unfold(&log), format!("{start}{{\"a\": 1}}\n\n"));
    }
}

#[test]
fn escapes_of_yaml_become_escapes_of_json() {
    let log = "a: \"\\x1b[0m\\e\\U0001F600\\u00e9\\n\\\\x41\"\n";
    assert_eq!(
        unfold(log),
        "a: \"\\u001b[0m\\u001b\\ud83d\\ude00\\u00e9\\n\\\\x41\"\n"
    );
}

#[test]
fn a_quotation_mark_in_a_log_line_does_not_affect_the_following_lines() {
    for log in [
        "error: \"unfinished\nINFO: next\n{\"a\":1}\n",
        "error: \"unfinished\n    at stack.rs:1\nINFO next",
        "error: 'tis so\n",
        "'tis so\n  indented\n",
        "a: > b\n  c\n",
        "{\"message\": \"not YAML\n  \"}\n",
        "{\n  \"message\": \"not YAML\n",
    ] {
        assert_eq!(unfold(log), log);
    }
}

/// Folds a string as a YAML writer that breaks at any position.
fn folded(text: &str, width: usize) -> String {
    let json = serde_json::to_string(text).unwrap();
    let inside: Vec<char> = json[1..json.len() - 1].chars().collect();
    let mut out = String::from("  message: \"");
    let mut column = 0;
    let mut at = 0;
    while at < inside.len() {
        let length = match inside[at..] {
            ['\\', 'u', ..] => 6,
            ['\\', ..] => 2,
            _ => 1,
        };
        if column >= width {
            out.push_str("\\\n    ");
            out.push_str(if inside[at] == ' ' { "\\" } else { "" });
            column = 0;
        }
        out.extend(&inside[at..at + length]);
        at += length;
        column += length;
    }
    out + "\"\n"
}

proptest! {
    #[test]
    fn folded_strings_are_unfolded(text in ".{0,200}", width in 1..90_usize) {
        let unfolded = unfold(&folded(&text, width));
        let string = unfolded.trim_end().strip_prefix("  message: ").unwrap();
        prop_assert_eq!(serde_json::from_str::<String>(string).unwrap(), text);
    }

    #[test]
    fn a_block_folded_at_any_space_is_unfolded(words in vec("[!-~é]{1,9}", 1..9), header in "[-+]?2?") {
        let log = format!("  message: >{header}\n    {}\n", words.join("\n    "));
        let blank = "\n".repeat(words.len());
        prop_assert_eq!(unfold(&log), format!("  message: {}\n{blank}", words.join(" ")));
    }

    #[test]
    fn no_input_causes_a_panic(bytes in "([a: \"'\\\\\n>-]|- a: \"|\\\\x){0,60}") {
        unfold(&bytes);
    }
}
