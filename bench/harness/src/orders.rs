//! Generated messages.

use baton_test_support::{Bytes, Record, event};
use serde_json::json;

/// Size of a body in bytes: that of an order with a few lines, or of an event with an address.
const BODY_BYTES: usize = 512;

/// Returns the payload of an invocation. Each of its records has a unique sampled context.
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
    order["note"] =
        "leave it at the door; ".repeat(BODY_BYTES)[..BODY_BYTES.saturating_sub(length)].into();
    order.to_string()
}
