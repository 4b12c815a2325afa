use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, info_span};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry;

use super::*;
use crate::config::LogFormat;
use crate::logs::LogLayer;
use crate::output::Output;
use crate::tracing_layer;

/// Creates a span of the target `orders` under the subscriber, runs the check twice, and returns the lines of the log.
fn checked(subscriber: impl Fn(LogLayer) -> Dispatch) -> Vec<String> {
    // With only one subscriber, a span first reached by another test's thread would be disabled for all threads.
    let _second = Dispatch::new(NoSubscriber::new());
    let stdout = Output::captured();
    let check = FilterCheck::new(SubscriberWarnings::new(LogFormat::Json, stdout.clone()));
    let log = LogLayer::new(LogFormat::Json, stdout.clone(), None);
    tracing::dispatcher::with_default(&subscriber(log), || {
        info_span!(target: "orders", "reserve").in_scope(|| {});
        check.run();
        check.run();
    });
    stdout.lines()
}

fn targets(directives: &str) -> Targets {
    directives.parse().unwrap()
}

#[test]
fn a_filter_that_omits_every_span_causes_one_warning() {
    let subscribers: [fn(LogLayer) -> Dispatch; 5] = [
        |log| {
            Dispatch::new(
                registry()
                    .with(LevelFilter::ERROR)
                    .with(log)
                    .with(tracing_layer()),
            )
        },
        |log| {
            Dispatch::new(
                registry()
                    .with(log)
                    .with(tracing_layer())
                    .with(LevelFilter::ERROR),
            )
        },
        |log| {
            Dispatch::new(
                registry()
                    .with(log)
                    .with(tracing_layer())
                    .with(targets("error,hyper=info")),
            )
        },
        |log| {
            Dispatch::new(
                registry()
                    .with(targets("info,orders=warn"))
                    .with(log)
                    .with(tracing_layer()),
            )
        },
        |log| {
            Dispatch::new(
                registry()
                    .with(log)
                    .with(tracing_layer().with_filter(LevelFilter::ERROR)),
            )
        },
    ];
    for subscriber in subscribers {
        let lines = checked(subscriber);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(line["level"], "WARN");
        assert!(
            line["span"].is_string() && line["span_target"].is_string(),
            "{line}"
        );
        let expected = line["expected"].as_str().unwrap();
        assert!(expected.contains("RUST_LOG=info"), "{line}");
    }
}

#[test]
fn a_filter_that_enables_the_programs_spans_causes_no_warning() {
    let subscribers: [fn(LogLayer) -> Dispatch; 4] = [
        |log| {
            Dispatch::new(
                registry()
                    .with(LevelFilter::INFO)
                    .with(log)
                    .with(tracing_layer()),
            )
        },
        |log| {
            Dispatch::new(
                registry()
                    .with(targets("warn,orders=info"))
                    .with(log)
                    .with(tracing_layer()),
            )
        },
        |log| {
            Dispatch::new(
                registry()
                    .with(log.with_filter(LevelFilter::ERROR))
                    .with(tracing_layer()),
            )
        },
        // Without the layer, another warning has been logged at start.
        |log| Dispatch::new(registry().with(LevelFilter::ERROR).with(log)),
    ];
    for subscriber in subscribers {
        assert_eq!(checked(subscriber), [""; 0]);
    }
}
