use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value as Json;

use super::scanner::{JsonKind, Scanner};
use super::string::JsonString;

/// Scans a whole document and builds the value that `serde_json` would build.
fn rebuild(scanner: &mut Scanner<'_>) -> Json {
    match scanner.peek_kind() {
        JsonKind::Object => {
            let mut fields = serde_json::Map::new();
            scanner.enter();
            while let Some(key) = scanner.next_key() {
                let key = key.decode(scanner.json()).unwrap().into_owned();
                fields.insert(key, rebuild(scanner));
            }
            fields.into()
        }
        JsonKind::Array => {
            let mut items = Vec::new();
            scanner.enter();
            while scanner.next_item() {
                items.push(rebuild(scanner));
            }
            items.into()
        }
        JsonKind::String => {
            let text = scanner.read_string().unwrap();
            text.decode(scanner.json()).unwrap().into_owned().into()
        }
        JsonKind::Null | JsonKind::Other => serde_json::from_str(scanner.read_raw()).unwrap(),
    }
}

/// Returns `true` if a document, scanned value by value, is JSON.
fn is_json(json: &str) -> bool {
    let mut scanner = Scanner::new(json);
    scan(&mut scanner);
    scanner.is_at_end()
}

fn scan(scanner: &mut Scanner<'_>) {
    match scanner.peek_kind() {
        JsonKind::Object => {
            scanner.enter();
            while scanner.next_key().is_some() {
                scan(scanner);
            }
        }
        JsonKind::Array => {
            scanner.enter();
            while scanner.next_item() {
                scan(scanner);
            }
        }
        JsonKind::String | JsonKind::Null | JsonKind::Other => scanner.skip(),
    }
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        "[a-z\"\\\\\\[\\]{}:, é\u{1F600}\n]{0,70}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::hash_map(".{0,40}", inner, 0..6)
                .prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    })
}

#[test]
fn nearly_valid_json_is_rejected() {
    for json in [
        "[,1]",
        "[1,]",
        "[1,,1]",
        "[1 1]",
        "[1}",
        "{1}",
        "[",
        "]",
        "[1",
        "{,\"a\":1}",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{\"a\"::1}",
        "{\"a\":1]",
        "{a:1}",
        "{\"a\":1 \"b\":1}",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\\"",
        "\"\t\"",
        "tru",
        "nulL",
        "01",
        "1.",
        "-",
        "+1",
        "1e",
        "[] []",
        "[[],[]",
        "[{]}",
        "",
    ] {
        assert!(!is_json(json), "{json}");
        assert!(serde_json::from_str::<IgnoredAny>(json).is_err(), "{json}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_document_is_scanned_as_serde_json_reads_it(value in json(), pretty in any::<bool>()) {
        let json = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let json = json.unwrap();
        prop_assert_eq!(rebuild(&mut Scanner::new(&json)), value);
        let mut scanner = Scanner::new(&json);
        prop_assert_eq!(scanner.read_raw(), json.as_str());
    }

    #[test]
    fn a_string_has_the_end_and_the_value_that_serde_json_finds(
        text in "([a-zé]{0,70}(\\\\[\"\\\\/bfnrt]|\\\\u00[0-7][0-9a-f]|\\\\ud83d\\\\ude00|\\\\ud83d)?){0,4}", after in "[\"\\\\a]{0,20}"
    ) {
        let json = format!("\"{text}\"{after}");
        let (found, end) = JsonString::parse(&json, 1).unwrap();
        prop_assert_eq!(end, text.len() + 2);
        prop_assert_eq!(found.raw(&json), text.as_str());
        prop_assert_eq!(found.plain_text(&json).is_some(), !text.contains('\\'));
        let expected: Option<String> = serde_json::from_str(&json[..end]).ok();
        prop_assert_eq!(found.decode(&json).map(|text| text.into_owned()), expected);
    }

    #[test]
    fn the_scanner_accepts_the_same_documents_as_serde_json(json in "[\\[\\]{}:,\"\\\\ 1\u{1}é]{0,12}|\\{(\"a?\"[:,] ?(1|null|tru|\\[]|\\{}|\"\\\\?.\"),?){0,3}\\}|\\[(-?0?1?,?){0,3}\\]") {
        prop_assert_eq!(is_json(&json), serde_json::from_str::<IgnoredAny>(&json).is_ok());
    }

    #[test]
    fn documents_with_a_changed_byte_are_accepted_like_by_serde_json(
        value in json(), at in any::<prop::sample::Index>(), byte in "[\\[\\]{}:,\"\\\\ 1\u{1}u]", change in 0..3
    ) {
        let mut json = serde_json::to_string(&value).unwrap();
        let places: Vec<_> = json.char_indices().map(|(place, _)| place).collect();
        let at = places[at.index(places.len())];
        let after = json[at..].chars().next().map_or(at, |found| at + found.len_utf8());
        let (range, text) = match change {
            0 => (at..at, byte.as_str()),
            1 => (at..after, ""),
            _ => (at..after, byte.as_str()),
        };
        json.replace_range(range, text);
        prop_assert_eq!(is_json(&json), serde_json::from_str::<IgnoredAny>(&json).is_ok());
    }
}
