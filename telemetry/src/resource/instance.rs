//! `service.instance.id`: the process among those of the service.
//!
//! The conventions require an identifier that no other process of the service has. Otherwise the
//! metrics of two processes could be taken for one series. The platform's name of the process is
//! such an identifier. It is more meaningful than a random one, and in the resource anyway:
//! Lambda's log stream, which is unique to an execution environment (`faas.instance`); namespace,
//! pod and container, as the conventions prescribe for Kubernetes; or the container of a task.
//! Without any of them, the identifier is random.

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use opentelemetry_semantic_conventions::attribute as key;

/// Masks and values of the bits that mark a random UUID (RFC 9562, section 5.4).
const VERSION_4: (u128, u128) = (0xf << 76, 0x4 << 76);
const VARIANT: (u128, u128) = (0b11 << 62, 0b10 << 62);

/// Returns the instance id for a process with these attributes.
pub(super) fn id(attributes: &[KeyValue]) -> String {
    let text = |key: &'static str| {
        let mut latest_first = attributes.iter().rev();
        let found = latest_first.find(|attribute| attribute.key.as_str() == key)?;
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
    let platform_id = text(key::FAAS_INSTANCE).or_else(|| text(key::CONTAINER_ID));
    platform_id.map_or_else(random_uuid, str::to_owned)
}

fn random_uuid() -> String {
    let bits = u128::from_be_bytes(RandomIdGenerator::default().new_trace_id().to_bytes());
    let bits = [VERSION_4, VARIANT]
        .into_iter()
        .fold(bits, |bits, (mask, set)| bits & !mask | set);
    let text = format!("{bits:032x}");
    let (high, low) = text.split_at(16);
    format!(
        "{}-{}-{}-{}-{}",
        &high[..8],
        &high[8..12],
        &high[12..],
        &low[..4],
        &low[4..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_a_name_has_a_random_uuid() {
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
    fn a_process_has_the_name_that_the_platform_gives_it() {
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
