//! The customers of a run in the function's DynamoDB table.

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select};

use super::customers::build_id_prefixes;
use crate::stack::{aws_http_client, describe_error};

/// Attribute in which the function stores the id of a customer.
const CUSTOMER_ID: &str = "customer_id";

/// The table in which the function stores one item for each customer.
#[derive(Debug)]
pub(crate) struct CustomerTable {
    client: Client,
    name: String,
    run: u64,
}

/// Error in counting the items of a table.
#[derive(Debug, thiserror::Error)]
#[error("cannot count the customers in the table {name}: {reason}")]
pub(crate) struct TableError {
    name: String,
    reason: String,
}

impl CustomerTable {
    /// Prepares the count of a run's customers in this table, with the user's AWS configuration.
    pub(crate) async fn open(name: &str, run: u64) -> Self {
        let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(aws_http_client());
        Self {
            client: Client::new(&loader.load().await),
            name: name.to_owned(),
            run,
        }
    }

    /// Counts the customers of the run. DynamoDB cannot query a partition key by prefix, so this
    /// scans the whole table.
    pub(super) async fn count(&self) -> Result<u64, TableError> {
        let mut pages = self.scan().into_paginator().send();
        let mut count = 0;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| TableError {
                name: self.name.clone(),
                reason: describe_error(&error),
            })?;
            count += u64::try_from(page.count).unwrap_or(0);
        }
        Ok(count)
    }

    fn scan(&self) -> ScanFluentBuilder {
        let mut scan = self
            .client
            .scan()
            .table_name(&self.name)
            .select(Select::Count)
            .consistent_read(true);
        let mut conditions = Vec::new();
        for (position, prefix) in build_id_prefixes(self.run).into_iter().enumerate() {
            let value = format!(":prefix{position}");
            conditions.push(format!("begins_with({CUSTOMER_ID}, {value})"));
            scan = scan.expression_attribute_values(value, AttributeValue::S(prefix));
        }
        scan.filter_expression(conditions.join(" OR "))
    }
}
