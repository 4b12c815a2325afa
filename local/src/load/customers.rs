//! The customers of a run, some of whom cause failures.

use bytes::Bytes;

use super::random::mix;
use super::schedule::Profile;

/// Prefix of the ids of slow customers, for whom the function needs the fault `slow`.
pub(crate) const SLOW_PREFIX: &str = "load-slow-";
/// Prefix of the ids of failing customers, for whom the function needs the fault `fail-once`.
pub(crate) const FAILING_PREFIX: &str = "load-failing-";

/// Prefix of the ids of all other customers.
const PREFIX: &str = "load-";

/// Returns the prefixes of the ids of all customers of a run.
#[cfg(feature = "dynamodb")]
pub(super) fn build_id_prefixes(run: u64) -> [String; 3] {
    [PREFIX, SLOW_PREFIX, FAILING_PREFIX].map(|prefix| build_id_prefix(prefix, run))
}

/// Kind of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CustomerKind {
    /// The message is processed.
    Ordinary,
    /// The producer rejects the request with 422.
    Invalid,
    /// The function is slow.
    Slow,
    /// The function fails on the first delivery.
    Failing,
    /// The function rejects every delivery.
    Poison,
}

/// Shares of the customers that cause failures, in thousandths. All others are ordinary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) invalid: u64,
    pub(crate) slow: u64,
    pub(crate) failing: u64,
    pub(crate) poison: u64,
}

/// Shares of the profile `blackfriday`: more failures than on an ordinary day, but few enough that
/// ordinary customers determine the percentiles.
const BLACK_FRIDAY: Shares = Shares {
    invalid: 50,
    slow: 20,
    failing: 20,
    poison: 10,
};

/// The sequence of customers of a run.
#[derive(Clone, Debug)]
pub(crate) struct Customers {
    shares: Shares,
    /// Part of each id, so that the customers of two runs differ. It also decides which customers
    /// cause failures.
    run: u64,
}

impl Shares {
    /// Returns the shares of a profile. `has_faults` is true if the function has the demonstration
    /// faults.
    pub(crate) fn of(profile: Profile, has_faults: bool) -> Self {
        match profile {
            Profile::BlackFriday if has_faults => BLACK_FRIDAY,
            Profile::BlackFriday => BLACK_FRIDAY.without_faults(),
            Profile::Steady | Profile::Ramp | Profile::Soak => Self::default(),
        }
    }

    /// Returns the shares that a function without the demonstration faults allows.
    fn without_faults(self) -> Self {
        Self {
            invalid: self.invalid,
            ..Self::default()
        }
    }

    /// Returns the kind for a number from 0 to 999.
    fn kind(self, number: u64) -> CustomerKind {
        let Self {
            invalid,
            slow,
            failing,
            poison,
        } = self;
        let kinds = [
            (invalid, CustomerKind::Invalid),
            (slow, CustomerKind::Slow),
            (failing, CustomerKind::Failing),
            (poison, CustomerKind::Poison),
        ];
        let mut limit = 0;
        for (share, kind) in kinds {
            limit += share;
            if number < limit {
                return kind;
            }
        }
        CustomerKind::Ordinary
    }
}

impl Customers {
    pub(crate) fn new(shares: Shares, run: u64) -> Self {
        Self { shares, run }
    }

    /// Returns the kind of the customer of a request.
    pub(crate) fn kind(&self, request: u64) -> CustomerKind {
        self.shares.kind(mix(self.run, request) % 1_000)
    }

    /// Returns the body of a request.
    pub(crate) fn body(&self, kind: CustomerKind, request: u64) -> Bytes {
        let prefix = match kind {
            CustomerKind::Slow => SLOW_PREFIX,
            CustomerKind::Failing => FAILING_PREFIX,
            CustomerKind::Ordinary | CustomerKind::Invalid | CustomerKind::Poison => PREFIX,
        };
        let id = format!("{}{request}", build_id_prefix(prefix, self.run));
        let body = match kind {
            // No `@`, so that the producer rejects the address.
            CustomerKind::Invalid => {
                format!(r#"{{"customer_id":"{id}","email":"invalid","plan":"starter"}}"#)
            }
            // Customers cannot refer themselves, which only the function checks.
            CustomerKind::Poison => format!(
                r#"{{"customer_id":"{id}","email":"{id}@example.com","plan":"starter","referrer":"{id}"}}"#
            ),
            CustomerKind::Ordinary | CustomerKind::Slow | CustomerKind::Failing => {
                format!(r#"{{"customer_id":"{id}","email":"{id}@example.com","plan":"starter"}}"#)
            }
        };
        Bytes::from(body)
    }
}

/// Returns the part of a customer's id before the number of the request.
fn build_id_prefix(prefix: &str, run: u64) -> String {
    format!("{prefix}{:08x}-", run as u32)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const RUN: u64 = 0x1234_5678;

    fn count(customers: &Customers, kind: CustomerKind) -> usize {
        let kinds = (0..100_000).map(|request| customers.kind(request));
        kinds.filter(|other| *other == kind).count()
    }

    #[test]
    fn the_shares_are_those_of_the_profile() {
        let customers = Customers::new(BLACK_FRIDAY, RUN);
        for (kind, expected) in [
            (CustomerKind::Invalid, 5_000),
            (CustomerKind::Slow, 2_000),
            (CustomerKind::Failing, 2_000),
            (CustomerKind::Poison, 1_000),
            (CustomerKind::Ordinary, 90_000),
        ] {
            let found = count(&customers, kind);
            assert!(found.abs_diff(expected) < 300, "{kind:?}: {found}");
        }
    }

    #[test]
    fn without_faults_only_invalid_customers_are_left() {
        let customers = Customers::new(BLACK_FRIDAY.without_faults(), RUN);
        let others = [
            CustomerKind::Slow,
            CustomerKind::Failing,
            CustomerKind::Poison,
        ];
        assert_eq!(others.map(|kind| count(&customers, kind)), [0; 3]);
        assert!(count(&customers, CustomerKind::Invalid) > 4_000);
    }

    #[test]
    fn bodies_are_json_with_ids_that_the_faults_match() {
        let customers = Customers::new(BLACK_FRIDAY, RUN);
        let field = |kind, name: &str| {
            let body = serde_json::from_slice::<Value>(&customers.body(kind, 7)).unwrap();
            body[name].as_str().map(str::to_owned)
        };
        let id = |kind| field(kind, "customer_id").unwrap();
        assert_eq!(id(CustomerKind::Ordinary), "load-12345678-7");
        assert_eq!(id(CustomerKind::Slow), "load-slow-12345678-7");
        assert_eq!(id(CustomerKind::Failing), "load-failing-12345678-7");
        let referrer = field(CustomerKind::Poison, "referrer");
        assert_eq!(referrer, Some(id(CustomerKind::Poison)));
        let email = field(CustomerKind::Invalid, "email").unwrap();
        assert!(!email.contains('@'), "{email}");
    }
}
