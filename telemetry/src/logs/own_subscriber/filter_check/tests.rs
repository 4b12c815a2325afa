use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Subscriber, info_span};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry;

use super::*;
use crate::config::LogFormat;
use crate::logs::{LogLayer, tracing_layer};
use crate::output::Output;

/// Creates a span of the target `orders` under the subscriber, runs the check twice, and returns
/// the lines of the log.
fn run_check_twice<S>(subscriber: impl FnOnce(LogLayer) -> S) -> Vec<String>
where
    S: Subscriber + Send + Sync + 'static,
{
    // With only one subscriber, a span first reached by another test's thread would be disabled for
    // all threads.
    let _second = Dispatch::new(NoSubscriber::new());
    let stdout = Output::captured();
    let check = FilterCheck::new(SubscriberWarnings::new(LogFormat::Json, stdout.clone()));
    let log = LogLayer::new(LogFormat::Json, stdout.clone(), None);
    tracing::subscriber::with_default(subscriber(log), || {
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
    let errors = LevelFilter::ERROR;
    for lines in [
        run_check_twice(|log| registry().with(errors).with(log).with(tracing_layer())),
        run_check_twice(|log| registry().with(log).with(tracing_layer()).with(errors)),
        run_check_twice(|log| {
            let filter = targets("error,hyper=info");
            registry().with(log).with(tracing_layer()).with(filter)
        }),
        run_check_twice(|log| {
            let filter = targets("info,orders=warn");
            registry().with(filter).with(log).with(tracing_layer())
        }),
        run_check_twice(|log| {
            registry()
                .with(log)
                .with(tracing_layer().with_filter(errors))
        }),
    ] {
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
    let (errors, infos) = (LevelFilter::ERROR, LevelFilter::INFO);
    for lines in [
        run_check_twice(|log| registry().with(infos).with(log).with(tracing_layer())),
        run_check_twice(|log| {
            let filter = targets("warn,orders=info");
            registry().with(filter).with(log).with(tracing_layer())
        }),
        run_check_twice(|log| {
            let log = log.with_filter(errors);
            registry().with(log).with(tracing_layer())
        }),
        // Without the layer, another warning has been logged at start.
        run_check_twice(|log| registry().with(errors).with(log)),
    ] {
        assert_eq!(lines, [""; 0]);
    }
}
