//! What a request says of itself to the log, at any level: it would be sent with the next one, and
//! so on for ever.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::*;

/// The crates that speak, by the beginnings of their targets.
#[derive(Clone, Default)]
struct Speakers(Arc<Mutex<BTreeSet<String>>>);

impl Speakers {
    fn note(&self, target: &str) {
        let name = target.split("::").next().unwrap();
        self.0.lock().unwrap().insert(name.to_owned());
    }
}

impl<S: Subscriber> Layer<S> for Speakers {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        self.note(event.metadata().target());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.note(attributes.metadata().target());
    }
}

#[tokio::test]
async fn nobody_speaks_of_a_request_but_http_2() {
    for protocol in protocols() {
        let authority = tls_server::CertificateAuthority::new();
        let (address, _server) = authority.collector(protocol, false).await;
        let mut otlp = otlp(&format!("https://{address}/v1/traces"), protocol);
        otlp.certificates.authorities = Some(vec![authority.certificate()]);
        let transport = Transport::new(Signal::Traces, &otlp);
        let speakers = Speakers::default();
        let subscriber = tracing_subscriber::registry().with(speakers.clone());
        let _guard = tracing::subscriber::set_default(subscriber);
        transport.send(request(&[b"x"]), soon()).await.unwrap();
        let speakers = speakers.0.lock().unwrap();
        let allowed: &[&str] = match protocol {
            Protocol::HttpProtobuf => &[],
            #[cfg(feature = "grpc")]
            Protocol::Grpc => &["h2"],
        };
        assert!(
            speakers.iter().all(|name| allowed.contains(&name.as_str())),
            "{protocol:?}: {speakers:?}"
        );
        #[cfg(feature = "grpc")]
        assert!(protocol != Protocol::Grpc || speakers.contains("h2"));
    }
}
