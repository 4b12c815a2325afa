//! Faults on demand, so that a demonstration has something to recover from. Off unless the
//! function's own environment names them.

use std::time::Duration;

use baton_lambda::Failure;

const VARIABLE: &str = "BATON_DEMO_FAULTS";
/// Long enough to stand out in a trace, far below any timeout.
const SLOW: Duration = Duration::from_millis(400);

/// What happens to the message of one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The first delivery fails.
    FailOnce,
    /// The handler panics on the first delivery.
    Panic,
    /// Every delivery takes 400 ms longer.
    Slow,
}

/// The faults that are switched on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults(Vec<(Kind, String)>);

/// A list that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{VARIABLE}: expected KIND=CUSTOMER_ID,… with a KIND of fail-once, panic or slow, found {0:?}"
)]
pub(crate) struct InvalidFaults(String);

impl Faults {
    pub(crate) fn from_env() -> Result<Self, InvalidFaults> {
        Self::parse(&std::env::var(VARIABLE).unwrap_or_default())
    }

    fn parse(list: &str) -> Result<Self, InvalidFaults> {
        let entries = list
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        entries
            .map(|entry| fault(entry).ok_or_else(|| InvalidFaults(entry.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Does to this delivery what was asked for.
    pub(crate) async fn strike(
        &self,
        customer_id: &str,
        receive_count: u32,
    ) -> Result<(), Failure> {
        let is_first = receive_count <= 1;
        for (kind, _) in self.0.iter().filter(|(_, id)| id == customer_id) {
            match kind {
                Kind::FailOnce if is_first => {
                    return Err(Failure::retry("demo_fault", "asked to fail once"));
                }
                // Proof of isolation: exactly what a bug in a handler would do.
                Kind::Panic if is_first => panic!("asked to panic"),
                Kind::Slow => tokio::time::sleep(SLOW).await,
                Kind::FailOnce | Kind::Panic => {}
            }
        }
        Ok(())
    }
}

fn fault(entry: &str) -> Option<(Kind, String)> {
    let (kind, customer_id) = entry.split_once('=')?;
    let kind = match kind {
        "fail-once" => Kind::FailOnce,
        "panic" => Kind::Panic,
        "slow" => Kind::Slow,
        _ => return None,
    };
    (!customer_id.is_empty()).then(|| (kind, customer_id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fault_strikes_the_first_delivery_of_its_customer_only() {
        let faults = Faults::parse("fail-once=c-1, slow=c-2").unwrap();
        assert!(faults.strike("c-1", 1).await.is_err());
        assert!(faults.strike("c-1", 2).await.is_ok());
        assert!(faults.strike("c-3", 1).await.is_ok());
    }

    #[test]
    fn no_variable_means_no_faults_and_a_wrong_one_is_named() {
        assert_eq!(Faults::parse(""), Ok(Faults::default()));
        for entry in ["explode=c-1", "panic", "panic="] {
            let error = Faults::parse(entry).unwrap_err().to_string();
            assert!(
                error.starts_with("BATON_DEMO_FAULTS: expected KIND=CUSTOMER_ID"),
                "{error}"
            );
            assert!(error.ends_with(&format!("found {entry:?}")), "{error}");
        }
    }
}
