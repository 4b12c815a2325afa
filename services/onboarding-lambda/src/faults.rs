//! Faults for demonstrations: messages of selected customers fail, panic or take longer. There are
//! none unless an environment variable lists them.

use std::time::Duration;

use baton_lambda::Failure;

const VARIABLE: &str = "BATON_DEMO_FAULTS";
/// Delay of a slow message: long enough to be visible in a trace, and far below any timeout.
const SLOW_DELAY: Duration = Duration::from_millis(400);

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FaultKind {
    /// The first delivery fails.
    FailOnce,
    /// The handler panics on the first delivery.
    Panic,
    /// Every delivery takes [`SLOW_DELAY`] longer.
    Slow,
}

/// The enabled faults, each with its customers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults(Vec<(FaultKind, Customers)>);

/// The customers that a fault affects.
#[derive(Debug, PartialEq, Eq)]
enum Customers {
    /// The customer with this id.
    Id(String),
    /// All customers whose id has this prefix: `PREFIX*` in the variable. A load test needs
    /// thousands of them, because a customer can be onboarded only once.
    Prefix(String),
}

/// An invalid entry of the variable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{VARIABLE}: expected KIND=CUSTOMER_ID,… or KIND=PREFIX*,… with a KIND of fail-once, panic or slow, found {0:?}"
)]
pub(crate) struct InvalidFaults(String);

impl Faults {
    /// Reads the environment variable.
    pub(crate) fn from_env() -> Result<Self, InvalidFaults> {
        Self::parse(&std::env::var(VARIABLE).unwrap_or_default())
    }

    fn parse(list: &str) -> Result<Self, InvalidFaults> {
        let entries = list
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        entries
            .map(|entry| parse_entry(entry).ok_or_else(|| InvalidFaults(entry.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Applies the faults of this customer to a delivery.
    pub(crate) async fn inject(
        &self,
        customer_id: &str,
        receive_count: u32,
    ) -> Result<(), Failure> {
        let is_first = receive_count <= 1;
        let affects = |(_, customers): &&(_, Customers)| customers.contains(customer_id);
        for (kind, _) in self.0.iter().filter(affects) {
            match kind {
                FaultKind::FailOnce if is_first => {
                    return Err(Failure::retry(
                        "demo_fault",
                        "demonstration fault: fails once",
                    ));
                }
                // Panics as a bug in a handler would, to show that only this message fails.
                FaultKind::Panic if is_first => panic!("demonstration fault: panics"),
                FaultKind::Slow => tokio::time::sleep(SLOW_DELAY).await,
                FaultKind::FailOnce | FaultKind::Panic => {}
            }
        }
        Ok(())
    }
}

impl Customers {
    fn contains(&self, customer_id: &str) -> bool {
        match self {
            Self::Id(id) => id == customer_id,
            Self::Prefix(prefix) => customer_id.starts_with(prefix),
        }
    }
}

fn parse_entry(entry: &str) -> Option<(FaultKind, Customers)> {
    let (kind, customers) = entry.split_once('=')?;
    let kind = match kind {
        "fail-once" => FaultKind::FailOnce,
        "panic" => FaultKind::Panic,
        "slow" => FaultKind::Slow,
        _ => return None,
    };
    let (text, customers): (_, fn(String) -> Customers) = match customers.strip_suffix('*') {
        Some(prefix) => (prefix, Customers::Prefix),
        None => (customers, Customers::Id),
    };
    (!text.is_empty()).then(|| (kind, customers(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fault_affects_only_the_first_delivery_of_its_customer() {
        let faults = Faults::parse("fail-once=c-1, slow=c-2").unwrap();
        assert!(faults.inject("c-1", 1).await.is_err());
        assert!(faults.inject("c-1", 2).await.is_ok());
        assert!(faults.inject("c-3", 1).await.is_ok());
    }

    #[tokio::test]
    async fn a_fault_with_a_prefix_affects_all_customers_with_that_prefix() {
        let faults = Faults::parse("fail-once=load-failing-*").unwrap();
        for customer_id in ["load-failing-1", "load-failing-2"] {
            assert!(faults.inject(customer_id, 1).await.is_err());
        }
        assert!(faults.inject("load-1", 1).await.is_ok());
    }

    #[test]
    fn an_empty_variable_is_valid_and_an_invalid_entry_is_named() {
        assert_eq!(Faults::parse(""), Ok(Faults::default()));
        for entry in ["explode=c-1", "panic", "panic=", "panic=*"] {
            let error = Faults::parse(entry).unwrap_err().to_string();
            assert!(
                error.starts_with("BATON_DEMO_FAULTS: expected KIND=CUSTOMER_ID"),
                "{error}"
            );
            assert!(error.ends_with(&format!("found {entry:?}")), "{error}");
        }
    }
}
