//! Compares the metrics in the crate documentation with the recorded ones.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry::metrics::MeterProvider as _;

use super::*;
use crate::dead_letter::tests::endpoint::{Behaviour, Endpoint};
use crate::dead_letter::tests::queue;

const DOCUMENTATION: &str = include_str!("../../lib.rs");
const TABLE: &str = "//! | Metric | Kind | Unit | Attributes | Meaning |";

/// Kind, unit and attribute names of each metric, by its name.
type Table = BTreeMap<String, (String, String, BTreeSet<String>)>;

fn documented() -> Table {
    let (_, table) = DOCUMENTATION.split_once(TABLE).unwrap();
    let rows = table.lines().skip(2);
    let rows = rows.take_while(|line| line.starts_with("//! |"));
    rows.map(|row| {
        let cells: Vec<&str> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let attributes = cells[4].split("`, `").map(str::to_owned).collect();
        let row = (cells[2].to_owned(), cells[3].to_owned(), attributes);
        (cells[1].to_owned(), row)
    })
    .collect()
}

fn add(table: &mut Table, recorded: &RecordedMetrics) {
    for (name, attributes, unit, value) in recorded.all() {
        let kind = match value {
            Value::Sum(_) => "counter",
            Value::Histogram(_) => "histogram",
        };
        let row = table
            .entry(name.to_owned())
            .or_insert_with(|| (kind.to_owned(), unit.to_owned(), BTreeSet::new()));
        assert_eq!((&*row.0, &*row.1), (kind, unit), "{name}");
        let names = attributes
            .split(',')
            .filter_map(|pair| pair.split_once('='));
        row.2.extend(names.map(|(name, _)| name.to_owned()));
    }
}

async fn handle_or_hang(message: Message<String>) -> Result<(), Failure> {
    match message.body.as_str() {
        "refuse" => Err(Failure::permanent("refused", "not wanted")),
        "hang" => std::future::pending().await,
        _ => Ok(()),
    }
}

#[tokio::test]
async fn the_documented_metrics_match_the_recorded_ones() {
    let mut found = Table::new();
    for behaviour in [Behaviour::Accept, Behaviour::Deny] {
        let endpoint = Endpoint::start(behaviour).await;
        let consumer = Consumer::builder()
            .all_failed(AllFailed::FailInvocation)
            .dead_letter_queue(queue(&endpoint, "dead").await);
        let record = Record::raw("refuse").sent_at(SystemTime::now());
        let batch = Batch::standard("orders").record(record);
        add(&mut found, &run(consumer, handle_or_hang, batch).await);
    }
    let hanging = batch_of(&["hang"]).timeout(Duration::from_millis(300));
    add(
        &mut found,
        &run(Consumer::builder(), handle_or_hang, hanging).await,
    );
    let (meters, reader) = meters();
    let metrics = crate::metrics::Metrics::new(&meters.meter("test"));
    metrics.record_init(Duration::from_millis(20));
    add(&mut found, &collect(&reader));
    assert_eq!(found, documented());
}
