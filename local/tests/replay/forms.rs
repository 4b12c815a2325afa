//! Tests of log formats that are supported, and of formats that are reported as unreadable.

use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use baton_test_support::{CollectorResponse, TestCollector};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::support::{ReplayCommand, accepted_spans, span, spill_lines};

fn data(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay/data");
    std::fs::read(folder.join(name)).unwrap()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap()
}

#[tokio::test]
async fn all_spans_are_found_in_logs_of_real_pipelines() {
    for (name, expected) in [
        ("filter-log-events.yaml", 7),
        ("awslogs-unmarked-pieces.log", 201),
        ("gzip-in-gzip.gz", 7),
        ("firelens-partial.log", 201),
        ("gzip-members-with-line-breaks.gz", 7),
        ("subscription-event.json", 7),
    ] {
        let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
        let output = ReplayCommand::new(data(name)).replay(&collector, &[]).await;
        assert_eq!(output.code, Some(0), "{name}: {}{}", output.out, output.err);
        assert_eq!(
            accepted_spans(&collector).len(),
            expected,
            "{name}: {}",
            output.out
        );
    }
}

#[tokio::test]
async fn a_log_in_an_unknown_format_is_reported() {
    let noise: Vec<u8> = (0..999_u32)
        .map(|at| (at.wrapping_mul(0x9e37_79b9) >> 13) as u8)
        .collect();
    let with = |first: &[u8]| [first, &noise].concat();
    let kinesis = |data: &[u8]| {
        let data = STANDARD.encode(data);
        json!({ "Records": [{ "kinesis": { "partitionKey": "1", "data": data } }] }).to_string()
    };
    let no_base64 = json!({ "awslogs": { "data": "?not_base64?" } }).to_string();
    for (log, expected) in [
        (
            with(b"\x28\xb5\x2f\xfd"),
            "log, byte 0: unreadable: looks like zstd",
        ),
        (with(b"BZh91AY&SY"), "looks like bzip2"),
        (with(b"\xfd7zXZ\0"), "looks like xz"),
        (with(b"PK\x03\x04"), "looks like ZIP"),
        (with(b"\xff\x06\0\0sNaPpY"), "looks like Snappy"),
        (
            noise.clone(),
            "log, byte 0: unreadable: binary data in an unknown format",
        ),
        (
            gzip(&with(b"\x28\xb5\x2f\xfd")),
            "log, byte 0, gzip: byte 0: unreadable: looks like zstd",
        ),
        (
            kinesis(&with(b"\xf3\x89\x9a\xc2")).into(),
            "log, line 1, base64: byte 0: unreadable: looks like a record aggregated",
        ),
        (
            no_base64.into(),
            "log, line 1: unreadable: the data of a record is not valid base64",
        ),
        (
            b"\n{\"MESSAGE\":null,\"_STREAM_ID\":\"1\"}\n".to_vec(),
            "log, line 2: unreadable: the message is null: \
            export the journal with journalctl --all",
        ),
    ] {
        let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
        let output = ReplayCommand::new(log).replay(&collector, &[]).await;
        assert_eq!(
            output.code,
            Some(5),
            "{expected}: {}{}",
            output.out,
            output.err
        );
        assert!(output.out.contains(expected), "{expected}: {}", output.out);
        assert!(
            output
                .out
                .starts_with("no spilled spans found in the readable parts"),
            "{}",
            output.out
        );
    }
}

#[tokio::test]
async fn spans_are_sent_although_another_part_is_unreadable() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let command = ReplayCommand::new(spill_lines(&[span("a", 10)]).join("\n"));
    std::fs::write(command.path("packed"), b"\x28\xb5\x2f\xfd packed").unwrap();
    let output = command.replay(&collector, &["packed", "--json"]).await;
    assert_eq!(
        (output.code, accepted_spans(&collector).len()),
        (Some(5), 1),
        "{}",
        output.out
    );
    let report = output.json();
    assert_eq!(report["unreadable"][0]["file"], "packed", "{report}");
    assert_eq!(report["complete"], false);
}

#[tokio::test]
async fn text_before_and_after_corrupt_gzip_is_read() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let [first, second, third] =
        ["a", "b", "c"].map(|name| spill_lines(&[span(name, 10)]).join("\n"));
    let noise =
        (0..20_000_u32).map(|number| format!("\nINFO {}", number.wrapping_mul(0x9e37_79b9)));
    let mut corrupt = gzip(&[second, noise.collect()].concat().into_bytes());
    let end = corrupt.len();
    corrupt[end / 2..end / 2 + 64].fill(0xff);
    let first = gzip(first.as_bytes());
    let expected = format!("log, byte {}: unreadable: gzip data ", first.len());
    let log = [first, corrupt, gzip(third.as_bytes())].concat();
    let output = ReplayCommand::new(log).replay(&collector, &[]).await;
    assert_eq!(output.code, Some(5), "{}{}", output.out, output.err);
    assert!(output.out.contains(&expected), "{}", output.out);
    assert_eq!(
        accepted_spans(&collector),
        ["a", "b", "c"].map(|name| span(name, 10))
    );
}
