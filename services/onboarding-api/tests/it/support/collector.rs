//! Assertions on the content of a collector.

use std::collections::BTreeMap;

use baton_test_support::{AttributeValue, PointValue, TestCollector};

/// Returns the number of measurements in each series of a histogram, by the value of an attribute.
pub(crate) fn measurement_counts(
    collector: &TestCollector,
    name: &str,
    attribute: &str,
) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let metrics = collector.metrics().unwrap().into_iter();
    for point in metrics
        .filter(|metric| metric.name == name)
        .flat_map(|metric| metric.points)
    {
        let PointValue::Histogram { count, .. } = point.value else {
            panic!("{name} is not a histogram");
        };
        let value = match point.attributes.get(attribute) {
            Some(AttributeValue::String(text)) => text.clone(),
            Some(AttributeValue::Int(number)) => number.to_string(),
            None => String::new(),
            Some(other) => format!("{other:?}"),
        };
        *counts.entry(value).or_default() += count;
    }
    counts
}

/// Returns the header `authorization` of every request in the order of arrival.
#[cfg(feature = "secrets")]
pub(crate) fn authorizations(collector: &TestCollector) -> Vec<String> {
    let exports = collector.all_exports();
    let values = exports.iter().map(|export| export.header("authorization"));
    values
        .map(|value| value.unwrap_or_default().to_owned())
        .collect()
}
