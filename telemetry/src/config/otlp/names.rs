//! What the variables of a signal are called.

use crate::otlp::Signal;

/// The variables of one signal: where there are two, its own and the general one.
pub(super) struct Names {
    pub(super) exporter: &'static str,
    pub(super) endpoint: [&'static str; 2],
    pub(super) insecure: [&'static str; 2],
    pub(super) protocol: [&'static str; 2],
    pub(super) headers: [&'static str; 2],
    pub(super) compression: [&'static str; 2],
    pub(super) timeout: [&'static str; 2],
    pub(super) authorities: [&'static str; 2],
    pub(super) client_certificate: [&'static str; 2],
    pub(super) client_key: [&'static str; 2],
}

/// The names must be static, so they are put together by the compiler.
macro_rules! both {
    ($signal:literal, $setting:literal) => {
        [
            concat!("OTEL_EXPORTER_OTLP_", $signal, "_", $setting),
            concat!("OTEL_EXPORTER_OTLP_", $setting),
        ]
    };
}

macro_rules! names {
    ($signal:literal) => {
        Names {
            exporter: concat!("OTEL_", $signal, "_EXPORTER"),
            endpoint: both!($signal, "ENDPOINT"),
            insecure: both!($signal, "INSECURE"),
            protocol: both!($signal, "PROTOCOL"),
            headers: both!($signal, "HEADERS"),
            compression: both!($signal, "COMPRESSION"),
            timeout: both!($signal, "TIMEOUT"),
            authorities: both!($signal, "CERTIFICATE"),
            client_certificate: both!($signal, "CLIENT_CERTIFICATE"),
            client_key: both!($signal, "CLIENT_KEY"),
        }
    };
}

impl Names {
    pub(super) const fn of(signal: Signal) -> Self {
        match signal {
            Signal::Traces => names!("TRACES"),
            Signal::Metrics => names!("METRICS"),
            Signal::Logs => names!("LOGS"),
        }
    }
}
