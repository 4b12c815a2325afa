//! An outbound HTTP request that propagates the trace.
//!
//! The CLIENT span is a child of the record span, which is active in the handler. The global
//! propagator writes `traceparent`, `tracestate` and `baggage` into the headers, so that the
//! server's span becomes a child of the CLIENT span. Name and attributes follow the semantic
//! conventions for HTTP clients. `STOCK_URL` is the base URL of the service, such as
//! `https://stock.example.com`.

use std::error::Error;
use std::sync::Arc;

use baton_lambda::{Consumer, Failure, Message};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::TokioExecutor;
use opentelemetry::propagation::Injector;
use opentelemetry::trace::{
    FutureExt as _, SpanKind, SpanRef, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_semantic_conventions::attribute as key;
use serde::Deserialize;

const URL: &str = "STOCK_URL";

#[derive(Deserialize)]
struct Order {
    article: u32,
}

struct Stock {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    url: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var(URL).map_err(|error| format!("{URL}: {error}"))?;
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .build();
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let consumer = Consumer::builder().state(Arc::new(Stock { client, url }));
    Ok(consumer.run(handle).await?)
}

async fn handle(message: Message<Order>, stock: Arc<Stock>) -> Result<(), Failure> {
    let uri: Uri = format!("{}/articles/{}", stock.url, message.body.article).parse()?;
    match stock.get(&uri).await? {
        status if status.is_success() => Ok(()),
        status if status.is_server_error() => Err(Failure::retry("stock_failed", status.as_str())),
        status => Err(Failure::permanent("not_in_stock", status.as_str())),
    }
}

impl Stock {
    async fn get(&self, uri: &Uri) -> Result<StatusCode, ClientError> {
        let default_port = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        let tracer = global::tracer("stock");
        let span = tracer
            .span_builder("GET")
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new(key::HTTP_REQUEST_METHOD, "GET"),
                KeyValue::new(key::URL_FULL, uri.to_string()),
                KeyValue::new(
                    key::SERVER_ADDRESS,
                    uri.host().unwrap_or_default().to_owned(),
                ),
                KeyValue::new(
                    key::SERVER_PORT,
                    i64::from(uri.port_u16().unwrap_or(default_port)),
                ),
            ])
            .start(&tracer);
        let context = Context::current_with_span(span);
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri.clone();
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(&context, &mut Carrier(request.headers_mut()));
        });
        let response = self
            .client
            .request(request)
            .with_context(context.clone())
            .await;
        record(&context.span(), &response);
        context.span().end();
        response.map(|response| response.status())
    }
}

/// Records the response as the semantic conventions require. They leave the status unset on
/// success.
fn record<B>(span: &SpanRef<'_>, response: &Result<Response<B>, ClientError>) {
    let error_type = match response {
        Ok(response) => {
            let status = response.status();
            let code = i64::from(status.as_u16());
            span.set_attribute(KeyValue::new(key::HTTP_RESPONSE_STATUS_CODE, code));
            if !status.is_client_error() && !status.is_server_error() {
                return;
            }
            span.set_status(Status::error(""));
            status.as_str().to_owned()
        }
        Err(error) => {
            span.set_status(Status::error(error.to_string()));
            let is_connect = error.is_connect();
            if is_connect {
                "connect_error"
            } else {
                "_OTHER"
            }
            .to_owned()
        }
    };
    span.set_attribute(KeyValue::new(key::ERROR_TYPE, error_type));
}

/// Carrier that adds headers.
struct Carrier<'a>(&'a mut HeaderMap);

impl Injector for Carrier<'_> {
    fn set(&mut self, name: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
