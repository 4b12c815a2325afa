//! Tests of reading logs: compressed, incomplete, large or followed.

use std::io::Write as _;
use std::time::Duration;

use baton_test_support::{CollectorResponse, Signal, TestCollector};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::support::{ReplayCommand, accepted_spans, span, spill_lines};

#[tokio::test]
async fn a_missing_fragment_is_reported_and_other_spans_are_sent() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let mut lines = spill_lines(&[span("a", 10), span("long", 700_000)]);
    let fragments = lines.len() - 1;
    lines.remove(2);
    let command = ReplayCommand::new(lines.join("\n"));
    let output = command.replay(&collector, &[]).await;
    assert_eq!(output.code, Some(1), "{}", output.err);
    let expected = format!(": fragment 2 of {fragments} is missing");
    assert!(output.out.contains(&expected), "{}", output.out);
    assert_eq!(accepted_spans(&collector), [span("a", 10)]);
}

#[tokio::test]
async fn compressed_files_and_standard_input_are_read() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed
        .write_all(spill_lines(&[span("packed", 10)])[0].as_bytes())
        .unwrap();
    let command = ReplayCommand::new(packed.finish().unwrap());
    let events = json!({ "events": [{ "message": spill_lines(&[span("piped", 10)])[0] }] });
    let input = format!("{events:#}");
    let arguments = ["log", "-", "--endpoint", &collector.endpoint()];
    let output = command.run(&arguments, &[], input.as_bytes()).await;
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert_eq!(
        accepted_spans(&collector),
        ["packed", "piped"].map(|name| span(name, 10))
    );
}

#[tokio::test]
async fn a_truncated_file_is_reported_and_its_spans_are_sent() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    packed
        .write_all(spill_lines(&[span("a", 10)])[0].as_bytes())
        .unwrap();
    packed.write_all(&[b'\n'; 200_000]).unwrap();
    let mut packed = packed.finish().unwrap();
    packed.truncate(150_000);
    let command = ReplayCommand::new(packed);
    let output = command.replay(&collector, &[]).await;
    assert_eq!(
        (output.code, accepted_spans(&collector).len()),
        (Some(5), 1),
        "{}",
        output.out
    );
    let expected = "log, byte 0: unreadable: gzip data is truncated";
    assert!(output.out.contains(expected), "{}", output.out);
}

#[tokio::test]
async fn a_missing_file_is_reported_before_anything_is_sent() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let command = ReplayCommand::new(spill_lines(&[span("a", 10)]).join("\n"));
    for missing in ["missing", "."] {
        let output = command.replay(&collector, &[missing]).await;
        assert!(
            output.err.contains(&format!("cannot open {missing}")),
            "{}",
            output.err
        );
        assert_eq!(output.code, Some(4));
    }
    assert_eq!(collector.request_count(), 0);
}

#[tokio::test]
async fn a_log_without_spans_is_not_an_error() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let command = ReplayCommand::new("START\nEND\n");
    let output = command.replay(&collector, &[]).await;
    assert_eq!(
        (output.code, output.out.as_str()),
        (Some(0), "no spilled spans found\n")
    );
}

#[tokio::test]
async fn ten_thousand_spans_are_sent_in_requests_of_an_accepted_size() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let spans: Vec<_> = (0..10_000)
        .map(|number| span(&format!("{number:05}"), 800))
        .collect();
    let command = ReplayCommand::new(spill_lines(&spans).join("\n"));
    let output = command.replay(&collector, &[]).await;
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert!(accepted_spans(&collector) == spans);
    let limit = 3 * 1024 * 1024 + 512 * 1024;
    let requests = collector.exports(Signal::Traces).into_iter();
    let requests: Vec<usize> = requests.map(|request| request.wire_bytes).collect();
    assert_eq!(requests.len(), collector.request_count());
    let least = requests.iter().sum::<usize>().div_ceil(limit);
    assert!(
        requests.iter().all(|length| *length <= limit),
        "{requests:?}"
    );
    assert_eq!(requests.len(), least, "{requests:?}");
}

#[tokio::test]
async fn spans_of_a_followed_log_are_sent_during_a_pause() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let command = ReplayCommand::new("");
    let mut child = command.start(&["-", "--endpoint", &collector.endpoint()], &[]);
    let mut log = child.stdin.take().unwrap();
    let lines = spill_lines(&[span("a", 10)]).join("\n");
    log.write_all(format!("START\n{lines}\n").as_bytes())
        .await
        .unwrap();
    for _ in 0..200 {
        if !accepted_spans(&collector).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(accepted_spans(&collector), [span("a", 10)]);
    drop(log);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}
