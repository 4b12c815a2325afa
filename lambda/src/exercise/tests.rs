//! Property tests with generated, modified and truncated events. Unlike the fuzz target, they run
//! on the stable toolchain and in each test run.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, json};

use super::*;

/// Generates plausible and implausible strings.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,12}",
        "[\"\\\\/\n\t{}:,é\u{1F600}\u{0}]{0,9}",
        "[0-9]{1,24}",
        select(vec![
            "aws:sqs",
            "arn:aws:sqs:eu-central-1:123456789012:orders.fifo",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
            "a=1,b=2",
            "",
        ])
        .prop_map(str::to_owned),
    ]
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        text().prop_map(|value| json!(value)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| json!(items)),
            vec((text(), inner), 0..4)
                .prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// Generates mostly the usual value, and sometimes any other.
fn or_any(
    usual: impl Strategy<Value = serde_json::Value> + 'static,
) -> BoxedStrategy<serde_json::Value> {
    prop_oneof![16 => usual, 1 => Just(json!(null)), 1 => any_json()].boxed()
}

fn texts() -> BoxedStrategy<serde_json::Value> {
    or_any(text().prop_map(|text| json!(text)))
}

/// Generates an object that has most of these fields, and sometimes others.
fn object(
    fields: Vec<(&'static str, BoxedStrategy<serde_json::Value>)>,
) -> BoxedStrategy<serde_json::Value> {
    let known: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| {
            proptest::option::weighted(0.9, value.prop_map(move |value| (name.to_owned(), value)))
        })
        .collect();
    let unknown = proptest::option::weighted(0.1, (text(), any_json()));
    (known, unknown)
        .prop_map(|(known, unknown)| {
            let fields = known.into_iter().flatten().chain(unknown);
            fields.collect::<Map<_, _>>().into()
        })
        .boxed()
}

fn attribute() -> BoxedStrategy<serde_json::Value> {
    or_any(object(vec![
        ("stringValue", texts()),
        ("StringValue", or_any(Just(json!(null)))),
        (
            "binaryValue",
            or_any(select(vec!["AA==", "AQID"]).prop_map(|value| json!(value))),
        ),
        ("stringListValues", or_any(Just(json!([])))),
        ("dataType", texts()),
    ]))
}

fn envelope() -> BoxedStrategy<serde_json::Value> {
    let kind = or_any(Just(json!("Notification")));
    let kinds = select(vec!["String", "Number", "Binary"]);
    let kinds = or_any(kinds.prop_map(|kind| json!(kind)));
    let attribute = or_any(object(vec![("Type", kinds), ("Value", texts())]));
    let detail = or_any(object(vec![("traceparent", texts()), ("baggage", texts())]));
    let event = object(vec![
        ("detail-type", texts()),
        ("source", texts()),
        ("detail", detail),
        ("traceparent", texts()),
    ]);
    let message = or_any(event.clone().prop_map(|event| json!(event.to_string())));
    let attributes = or_any(object(vec![
        ("traceparent", attribute.clone()),
        ("tracestate", attribute),
    ]));
    let notification = object(vec![
        ("Type", kind),
        ("Message", message),
        ("MessageAttributes", attributes),
    ]);
    let wrapped = prop_oneof![notification, event];
    prop_oneof![wrapped.prop_map(|inner| json!(inner.to_string())), texts()].boxed()
}

fn record() -> BoxedStrategy<serde_json::Value> {
    let system = object(vec![
        ("ApproximateReceiveCount", texts()),
        ("SentTimestamp", texts()),
        ("MessageGroupId", texts()),
        ("AWSTraceHeader", texts()),
    ]);
    let attributes = object(vec![
        ("traceparent", attribute()),
        ("Traceparent", attribute()),
        ("TRACESTATE", attribute()),
        ("baggage", attribute()),
        ("otel.traceparent", attribute()),
        ("Otel.baggage", attribute()),
        ("tenant", attribute()),
    ]);
    or_any(object(vec![
        ("messageId", texts()),
        ("receiptHandle", texts()),
        ("body", envelope()),
        ("attributes", or_any(system)),
        ("messageAttributes", or_any(attributes)),
        ("md5OfBody", texts()),
        ("awsRegion", texts()),
        ("eventSourceARN", texts()),
    ]))
    .prop_map(|mut record| {
        if let Some(record) = record.as_object_mut() {
            record.entry("eventSource").or_insert(json!("aws:sqs"));
        }
        record
    })
    .boxed()
}

fn event() -> impl Strategy<Value = serde_json::Value> {
    let records = or_any(vec(record(), 0..4).prop_map(|records| json!(records)));
    // An event source mapping sends an object, and EventBridge Pipes an array.
    prop_oneof![3 => object(vec![("Records", records.clone())]), 1 => records]
}

/// Writes JSON with optional whitespace and escapes at positions that `choices` determines.
fn write(value: &serde_json::Value, choices: &mut dyn Iterator<Item = u8>, to: &mut String) {
    let blank = ["", "", " ", "\n", "\t\r "][usize::from(choices.next().unwrap_or(0)) % 5];
    to.push_str(blank);
    match value {
        serde_json::Value::String(text) => write_text(text, choices, to),
        serde_json::Value::Array(items) => {
            to.push('[');
            for (index, item) in items.iter().enumerate() {
                to.push_str(if index > 0 { "," } else { "" });
                write(item, choices, to);
            }
            to.push(']');
        }
        serde_json::Value::Object(fields) => {
            to.push('{');
            let mut fields: Vec<_> = fields.iter().collect();
            let turn = usize::from(choices.next().unwrap_or(0)) % fields.len().max(1);
            fields.rotate_left(turn);
            for (index, (name, value)) in fields.into_iter().enumerate() {
                to.push_str(if index > 0 { "," } else { "" });
                to.push_str(blank);
                write_text(name, choices, to);
                to.push_str(blank);
                to.push(':');
                write(value, choices, to);
            }
            to.push('}');
        }
        other => to.push_str(&other.to_string()),
    }
    to.push_str(blank);
}

fn write_text(text: &str, choices: &mut dyn Iterator<Item = u8>, to: &mut String) {
    to.push('"');
    for character in text.chars() {
        if choices.next().is_some_and(|choice| choice % 8 == 0) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                to.push_str(&format!("\\u{unit:04X}"));
            }
        } else {
            let quoted = json!(character.to_string()).to_string();
            to.push_str(&quoted[1..quoted.len() - 1]);
        }
    }
    to.push('"');
}

fn written(event: &serde_json::Value, choices: &[u8]) -> String {
    let mut json = String::new();
    write(event, &mut choices.iter().copied().cycle(), &mut json);
    json
}

/// Returns the seed events of the fuzz target.
fn corpus() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/event");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

/// Replaces the value with the number `place`, counted in depth-first order.
fn replace(value: &mut serde_json::Value, place: &mut usize, by: &serde_json::Value) {
    if *place == 0 {
        *value = by.clone();
    }
    *place = place.wrapping_sub(1);
    match value {
        serde_json::Value::Array(items) => {
            items.iter_mut().for_each(|item| replace(item, place, by))
        }
        serde_json::Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| replace(field, place, by)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_events_are_read_as_the_peer_reads_them(event in event(), choices in vec(any::<u8>(), 1..64)) {
        let json = written(&event, &choices);
        let is_event = exercise(&json);
        // Without the fields that only the peer validates, the peer must accept each event that was
        // accepted here.
        let mut bare = event;
        if let Some(records) = bare.get_mut("Records") {
            bare = records.take();
        }
        for record in bare.as_array_mut().into_iter().flatten() {
            for field in ["attributes", "messageAttributes", "md5OfBody", "md5OfMessageAttributes", "awsRegion"] {
                record.as_object_mut().map(|record| record.remove(field));
            }
        }
        let peer: Result<Vec<SqsMessage>, _> = serde_json::from_value(bare);
        prop_assert!(!is_event || peer.is_ok(), "{json}");
    }

    #[test]
    fn a_value_of_the_wrong_type_does_no_harm(
        seed in select(corpus()), place in 0..120_usize, by in any_json(), choices in vec(any::<u8>(), 1..64)
    ) {
        // One seed has half of a surrogate pair, which `serde_json` rejects.
        let Ok(mut event) = serde_json::from_str(&seed) else {
            return Ok(());
        };
        replace(&mut event, &mut place.clone(), &by);
        exercise(&written(&event, &choices));
    }

    #[test]
    fn changed_or_truncated_events_do_no_harm(
        seed in select(corpus()), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut in any::<prop::sample::Index>(), is_cut in any::<bool>()
    ) {
        let mut bytes = seed.into_bytes();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let json = String::from_utf8_lossy(&bytes);
        exercise(&json);
    }
}

#[test]
fn the_corpus_is_read() {
    let events = corpus();
    let read = events.iter().filter(|event| exercise(event)).count();
    // The corpus also has events of other services.
    assert!(
        read >= 6 && read < events.len(),
        "{read} of {}",
        events.len()
    );
}
