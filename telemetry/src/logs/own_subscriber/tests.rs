//! Warnings about subscribers installed by programs.

use std::io;
use std::sync::{Arc, Mutex};

use tracing::Subscriber;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{fmt, registry};

use super::*;

/// Text written by the program's own formatting layer.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Written {
    /// A typical formatting layer.
    fn layer<S>(&self) -> impl Layer<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        fmt::layer().with_writer(self.clone())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Runs the check under this subscriber, and returns the lines on stdout.
fn check_lines(subscriber: impl Subscriber + Send + Sync) -> Vec<String> {
    // With only one subscriber, an event first reached by another test's thread would be disabled
    // for all threads.
    let _second = Dispatch::new(NoSubscriber::new());
    let stdout = Output::captured();
    let warnings = SubscriberWarnings::new(LogFormat::Json, stdout.clone());
    tracing::subscriber::with_default(subscriber, || warnings.check_layers());
    stdout.lines()
}

#[test]
fn a_subscriber_without_our_layers_gets_one_warning_that_names_them() {
    let written = Written::default();
    let subscriber = registry().with(written.layer());
    assert!(check_lines(subscriber).is_empty());
    let text = written.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("WARN"), "{text}");
    assert!(text.contains("baton_lambda::log_layer()"), "{text}");
    let expects_spans = cfg!(feature = "tracing");
    assert_eq!(
        text.contains("baton_lambda::tracing_layer()"),
        expects_spans
    );
}

#[test]
fn a_filter_for_the_programs_own_target_does_not_hide_the_warning() {
    let written = Written::default();
    let filter: Targets = "orders=info".parse().unwrap();
    let formatting = written.layer();
    let lines = check_lines(registry().with(formatting.with_filter(filter)));
    assert_eq!(written.text(), "");
    assert_eq!(lines.len(), 1);
    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["level"], "WARN");
    let added = line["log_layer"].as_str().unwrap();
    assert!(added.contains("baton_lambda::log_layer()"), "{line}");
}

#[cfg(not(feature = "tracing"))]
#[test]
fn without_the_feature_the_log_layer_is_enough() {
    let log = crate::log_layer().without_stdout();
    let written = Written::default();
    let subscriber = registry().with(written.layer()).with(log);
    assert!(check_lines(subscriber).is_empty());
    assert_eq!(written.text(), "");
}

#[cfg(feature = "tracing")]
mod with_spans {
    use tracing_subscriber::filter::LevelFilter;

    use super::*;
    use crate::{log_layer, tracing_layer};

    #[test]
    fn a_warning_names_only_the_layer_that_is_missing() {
        let written = Written::default();
        let formatting = written.layer();
        check_lines(
            registry()
                .with(formatting)
                .with(log_layer().without_stdout()),
        );
        let text = written.text();
        assert!(text.contains("baton_lambda::tracing_layer()"), "{text}");
        assert!(!text.contains("log_layer="), "{text}");
    }

    #[test]
    fn layers_are_found_inside_other_layers() {
        let written = Written::default();
        check_lines(
            registry()
                .with(written.layer())
                .with(log_layer())
                .with(tracing_layer()),
        );
        let log = log_layer().with_filter(LevelFilter::INFO).boxed();
        let spans = Some(tracing_layer().with_filter(LevelFilter::DEBUG));
        check_lines(registry().with(vec![log]).with(spans).with(written.layer()));
        check_lines(
            registry()
                .with(log_layer().and_then(tracing_layer()))
                .with(written.layer()),
        );
        assert_eq!(written.text(), "");
    }
}
