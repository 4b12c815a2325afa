//! The messages that the functions parse.

use baton_test_support::{Bytes, Record, event};
use serde_json::json;

/// Size of a body in bytes: that of an order with a few lines, or of an event with an address.
const BODY: usize = 512;

/// The payload of the `invocation`th invocation, each of whose records has a sampled context that
/// no other has.
pub(crate) fn payload(invocation: u64, batch: u64) -> Bytes {
    let records: Vec<Record> = (0..batch)
        .map(|index| {
            let number = invocation * batch + index;
            Record::new(number).traced(number).body(body(number))
        })
        .collect();
    event(&records)
}

fn body(number: u64) -> String {
    let mut order = json!({
        "id": format!("order-{number}"),
        "customer": {"id": number, "plan": "pro", "country": "DE"},
        "lines": [
            {"article": "A-100", "count": 2, "price": 12.5},
            {"article": "B-200", "count": 1, "price": 99.0},
        ],
        "note": "",
    });
    let length = order.to_string().len();
    order["note"] = "leave it at the door; ".repeat(BODY)[..BODY.saturating_sub(length)].into();
    order.to_string()
}
