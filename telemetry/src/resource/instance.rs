//! `service.instance.id`: which of a service's processes this is.
//!
//! The conventions ask for an identifier that no other process of the service has, so that nobody
//! takes two processes' metrics for one series. What the platform already calls the process by is
//! one, tells more than a random number, and is in the resource in any case: Lambda's log stream,
//! of which every execution environment has its own (`faas.instance`); the conventions' own rule
//! for Kubernetes, namespace, pod and container; a task's container. Without any of them it is
//! random.

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use opentelemetry_semantic_conventions::attribute as key;

/// The bits of a UUID that say that it is one, and random (RFC 9562, section 5.4).
const VERSION_4: (u128, u128) = (0xf << 76, 0x4 << 76);
const VARIANT: (u128, u128) = (0b11 << 62, 0b10 << 62);

/// Of what is known of the process, what nothing else is called.
pub(super) fn id(attributes: &[KeyValue]) -> String {
    let text = |key: &'static str| {
        let mut found = attributes.iter().rev();
        let found = found.find(|attribute| attribute.key.as_str() == key)?;
        match &found.value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        }
    };
    let pod = [
        text(key::K8S_NAMESPACE_NAME),
        text(key::K8S_POD_NAME),
        text(key::K8S_CONTAINER_NAME),
    ];
    if let [Some(namespace), Some(pod), Some(container)] = pod {
        return format!("{namespace}.{pod}.{container}");
    }
    let own = text(key::FAAS_INSTANCE).or_else(|| text(key::CONTAINER_ID));
    own.map_or_else(random, str::to_owned)
}

fn random() -> String {
    let bits = u128::from_be_bytes(RandomIdGenerator::default().new_trace_id().to_bytes());
    let bits = [VERSION_4, VARIANT]
        .into_iter()
        .fold(bits, |bits, (mask, set)| bits & !mask | set);
    let text = format!("{bits:032x}");
    let (time, clock) = text.split_at(16);
    format!(
        "{}-{}-{}-{}-{}",
        &time[..8],
        &time[8..12],
        &time[12..],
        &clock[..4],
        &clock[4..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_gets_a_random_uuid_of_its_own() {
        let (one, other) = (id(&[]), id(&[]));
        assert_ne!(one, other);
        let parts: Vec<_> = one.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        let digits = one.replace('-', "");
        assert!(digits.chars().all(|digit| digit.is_ascii_hexdigit()));
        assert_eq!(&one[14..15], "4", "{one}");
        assert!("89ab".contains(&one[19..20]), "{one}");
    }

    #[test]
    fn a_process_is_called_by_what_the_platform_calls_it() {
        let pod = [
            KeyValue::new(key::K8S_NAMESPACE_NAME, "shop"),
            KeyValue::new(key::K8S_POD_NAME, "api-1"),
            KeyValue::new(key::CONTAINER_ID, "c0ffee"),
            KeyValue::new(key::K8S_CONTAINER_NAME, "api"),
        ];
        assert_eq!(id(&pod), "shop.api-1.api");
        assert_eq!(id(&pod[..3]), "c0ffee");
        let function = [KeyValue::new(key::FAAS_INSTANCE, "2026/11/21/[7]abc")];
        assert_eq!(id(&function), "2026/11/21/[7]abc");
    }
}
