//! Log output of a request, at all levels. Each line would be exported by the next request, in an
//! endless loop.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tracing::span::{Attributes, Id};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::*;

/// Names of the crates that log, the first parts of their targets.
#[derive(Clone, Default)]
struct LoggingCrates(Arc<Mutex<BTreeSet<String>>>);

impl LoggingCrates {
    fn record(&self, target: &str) {
        let name = target.split("::").next().unwrap();
        self.0.lock().unwrap().insert(name.to_owned());
    }
}

impl<S: Subscriber> Layer<S> for LoggingCrates {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        self.record(event.metadata().target());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.record(attributes.metadata().target());
    }
}

#[tokio::test]
async fn a_request_logs_nothing_except_in_the_http_2_library() {
    // With only one subscriber, an event first reached by another test's thread would be disabled
    // for all threads.
    let _second = Dispatch::new(NoSubscriber::new());
    for protocol in protocols() {
        let authority = tls_server::CertificateAuthority::new();
        let (address, _server) = authority.collector(protocol, false).await;
        let mut otlp = otlp(&format!("https://{address}/v1/traces"), protocol);
        otlp.certificates.authorities = Some(vec![authority.certificate()]);
        let transport = Transport::new(Signal::Traces, &otlp);
        let crates = LoggingCrates::default();
        let subscriber = tracing_subscriber::registry().with(crates.clone());
        let _guard = tracing::subscriber::set_default(subscriber);
        transport.send(request(&[b"x"]), soon()).await.unwrap();
        let crates = crates.0.lock().unwrap();
        let allowed: &[&str] = match protocol {
            OtlpProtocol::HttpProtobuf => &[],
            #[cfg(feature = "grpc")]
            OtlpProtocol::Grpc => &["h2"],
        };
        assert!(
            crates.iter().all(|name| allowed.contains(&name.as_str())),
            "{protocol:?}: {crates:?}"
        );
        #[cfg(feature = "grpc")]
        assert!(protocol != OtlpProtocol::Grpc || crates.contains("h2"));
    }
}
