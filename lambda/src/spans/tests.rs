//! Compares the attributes in the crate documentation with those of the emitted spans. Requires the
//! feature `dead-letter-queue`, because the documentation lists its spans too.

use std::collections::BTreeSet;

use crate::dead_letter::tests::endpoint::{Behaviour, Endpoint};
use crate::dead_letter::tests::queue;
use crate::testing::{Batch, FinishedSpan, Outcome, Record};
use crate::{Consumer, Failure, Message, PartialResponse, Router};

const DOCUMENTATION: &str = include_str!("../lib.rs");
/// First line of the table of attributes.
const TABLE: &str = "//! | Attribute | On | Value |";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Name of an attribute, and the kind of span that it is on.
type DocumentedAttribute = (String, String);

fn documented() -> BTreeSet<DocumentedAttribute> {
    let (_, table) = DOCUMENTATION.split_once(TABLE).unwrap();
    let rows = table.lines().skip(2);
    let rows = rows.take_while(|line| line.starts_with("//! |"));
    rows.flat_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`').to_owned();
        let on = cells[2].split(", ").map(str::to_owned);
        on.map(move |on| (name.clone(), on)).collect::<Vec<_>>()
    })
    .collect()
}

fn add(emitted: &mut BTreeSet<DocumentedAttribute>, attributes: &serde_json::Value, on: &str) {
    let names = attributes.as_object().unwrap().keys();
    emitted.extend(names.map(|name| (name.clone(), on.to_owned())));
}

fn collect(emitted: &mut BTreeSet<DocumentedAttribute>, outcome: &Outcome) {
    for span in outcome.spans() {
        add(emitted, &span.attributes, span_kind(span));
        for link in &span.links {
            add(emitted, &link.attributes, "link");
        }
    }
}

fn span_kind(span: &FinishedSpan) -> &'static str {
    match span.name.split(' ').next().unwrap() {
        "process_batch" => "batch",
        "process" => "record",
        "send" => "send",
        other => panic!("{other} is not documented"),
    }
}

async fn handle(message: Message<String>) -> Result<(), Failure> {
    match message.body.as_str() {
        "refuse" => Err(Failure::permanent("refused", "not wanted")),
        _ => Ok(()),
    }
}

/// Returns a record with ten attributes of the sender, so that the runtime cannot add any.
fn full_record(body: &str) -> Record {
    let names = (0..10).map(|number| format!("sender-{number}"));
    names.fold(Record::raw(body), |record, name| {
        record.attribute(name, "x")
    })
}

#[tokio::test]
async fn the_documented_attributes_match_the_emitted_ones() {
    let mut emitted = BTreeSet::new();
    let failing = Consumer::builder().partial_response(PartialResponse::Off);
    let batch = Batch::standard("orders").record(Record::raw("refuse"));
    collect(&mut emitted, &batch.run_with(failing, handle).await);
    let router = Router::by_attribute("type").otherwise(handle);
    let record = Record::raw("").attribute("type", "order");
    let batch = Batch::standard("orders").record(record);
    collect(&mut emitted, &batch.run(router).await);
    for behaviour in [Behaviour::Accept, Behaviour::Deny] {
        let endpoint = Endpoint::start(behaviour).await;
        let consumer = Consumer::builder()
            .max_receive_count(3.try_into().unwrap())
            .dead_letter_queue(queue(&endpoint, "dead").await);
        let batch = Batch::fifo("orders")
            .record(Record::raw("ok").group("a").traceparent(TRACEPARENT))
            .record(Record::raw("ok").group("b").traceparent("00-short"))
            .record(Record::raw("refuse").group("c").receive_count(3))
            .record(full_record("refuse").group("d"));
        collect(&mut emitted, &batch.run_with(consumer, handle).await);
    }
    let documented = documented();
    let undocumented: Vec<_> = emitted.difference(&documented).collect();
    let unemitted: Vec<_> = documented.difference(&emitted).collect();
    assert!(
        undocumented.is_empty(),
        "emitted and not in the table: {undocumented:?}"
    );
    assert!(
        unemitted.is_empty(),
        "in the table and not emitted: {unemitted:?}"
    );
}
