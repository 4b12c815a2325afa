use super::scan::{Kind, Scanner};
use super::text::Text;
use proptest::prelude::*;
use serde_json::Value as Json;

/// Walks over a whole document and builds what `serde_json` would.
fn rebuild(scanner: &mut Scanner<'_>) -> Json {
    match scanner.kind() {
        Kind::Object => {
            let mut fields = serde_json::Map::new();
            scanner.enter();
            while let Some(key) = scanner.key() {
                let key = key.decode(scanner.json()).unwrap().into_owned();
                fields.insert(key, rebuild(scanner));
            }
            fields.into()
        }
        Kind::Array => {
            let mut items = Vec::new();
            scanner.enter();
            while scanner.item() {
                items.push(rebuild(scanner));
            }
            items.into()
        }
        Kind::Text => {
            let text = scanner.text().unwrap();
            text.decode(scanner.json()).unwrap().into_owned().into()
        }
        Kind::Null | Kind::Other => serde_json::from_str(scanner.raw()).unwrap(),
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

proptest! {
    #[test]
    fn a_document_is_walked_over_as_serde_json_reads_it(value in json(), pretty in any::<bool>()) {
        let json = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let json = json.unwrap();
        prop_assert_eq!(rebuild(&mut Scanner::new(&json, 0)), value);
        let mut scanner = Scanner::new(&json, 0);
        prop_assert_eq!(scanner.raw(), json.as_str());
    }

    #[test]
    fn a_string_ends_where_it_ends_and_means_what_it_means(
        text in "([a-zé]{0,70}(\\\\[\"\\\\/bfnrt]|\\\\u00[0-7][0-9a-f]|\\\\ud83d\\\\ude00|\\\\ud83d)?){0,4}", after in "[\"\\\\a]{0,20}"
    ) {
        let json = format!("\"{text}\"{after}");
        let (found, end) = Text::after_quote(&json, 1);
        prop_assert_eq!(end, text.len() + 2);
        let found = found.unwrap();
        prop_assert_eq!(found.raw(&json), text.as_str());
        prop_assert_eq!(found.verbatim(&json).is_some(), !text.contains('\\'));
        let expected: Option<String> = serde_json::from_str(&json[..end]).ok();
        prop_assert_eq!(found.decode(&json).map(|text| text.into_owned()), expected);
    }

    #[test]
    fn what_is_no_json_is_walked_over_to_an_end(json in "[\\[\\]{}:,\"\\\\ a1é]{0,60}") {
        let mut scanner = Scanner::new(&json, 0);
        scanner.skip();
        super::read_event(&json).ok();
    }
}
