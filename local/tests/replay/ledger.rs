//! Tests of the ledger, and of options that change which spans are sent.

use baton_test_support::{CollectorResponse, TestCollector};
use serde_json::json;

use crate::support::{ReplayCommand, accepted_spans, span, spill_lines};

#[tokio::test]
async fn a_second_replay_sends_nothing_unless_forced() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let spans = [span("a", 10), span("b", 700_000), span("c", 10)];
    let command = ReplayCommand::new(spill_lines(&spans).join("\n"));

    let first = command.replay(&collector, &["--json"]).await;
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert_eq!(first.json()["spans"]["sent"], 3);
    assert_eq!(
        accepted_spans(&collector),
        spans,
        "other times, ids or texts"
    );

    let second = command.replay(&collector, &["--json"]).await;
    assert_eq!((second.code, collector.request_count()), (Some(0), 1));
    assert_eq!(second.json()["spans"]["sent_before"], 3);

    let forced = command.replay(&collector, &["--force"]).await;
    assert_eq!(
        (forced.code, accepted_spans(&collector).len()),
        (Some(0), 6)
    );
    let last = command.replay(&collector, &[]).await;
    assert!(last.out.contains("sent before   3 spans"), "{}", last.out);
    assert_eq!(accepted_spans(&collector).len(), 6);
}

#[tokio::test]
async fn spans_are_sent_to_another_endpoint_again() {
    let command = ReplayCommand::new(spill_lines(&[span("a", 10)]).join("\n"));
    // Both are open at the same time, so that they have different ports.
    let collectors = [
        TestCollector::start(CollectorResponse::Ok).await.unwrap(),
        TestCollector::start(CollectorResponse::Ok).await.unwrap(),
    ];
    for collector in collectors {
        let output = command.replay(&collector, &[]).await;
        assert_eq!(
            (output.code, accepted_spans(&collector).len()),
            (Some(0), 1),
            "{}",
            output.err
        );
    }
    assert!(command.path(".local/state/baton/replay-ledger").exists());
}

#[tokio::test]
async fn a_span_that_is_in_the_log_twice_is_sent_once() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let lines = spill_lines(&[span("a", 10), span("b", 700_000)]);
    let command = ReplayCommand::new([lines.clone(), lines].concat().join("\n"));
    let output = command.replay(&collector, &["--json"]).await;
    assert_eq!(
        (output.code, accepted_spans(&collector).len()),
        (Some(0), 2)
    );
    assert_eq!(output.json()["spans"]["found"], 2);
}

#[tokio::test]
async fn a_dry_run_only_counts() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let command = ReplayCommand::new(spill_lines(&[span("a", 10)]).join("\n"));
    let output = command
        .replay(&collector, &["--dry-run", "--ledger", "ledger"])
        .await;
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert!(
        output.out.contains("would send    1 span\n"),
        "{}",
        output.out
    );
    assert!(collector.request_count() == 0 && !command.path("ledger").exists());
}

#[tokio::test]
async fn the_json_of_a_dry_run_has_the_number_of_spans_to_send() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let command = ReplayCommand::new(spill_lines(&[span("a", 10), span("b", 10)]).join("\n"));
    command.replay(&collector, &[]).await;
    for (options, would_send) in [(&["--force"][..], 2), (&[], 0)] {
        let options = [&["--dry-run", "--json"], options].concat();
        let report = command.replay(&collector, &options).await.json();
        assert_eq!(
            (&report["dry_run"], &report["complete"]),
            (&json!(true), &json!(true))
        );
        let spans = &report["spans"];
        assert_eq!(
            (&spans["would_send"], &spans["sent"]),
            (&json!(would_send), &json!(0))
        );
        assert!(spans.get("not_sent").is_none(), "{spans}");
    }
    assert_eq!(collector.request_count(), 1);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_used_is_reported_before_anything_is_sent() {
    let collector = TestCollector::start(CollectorResponse::Ok).await.unwrap();
    let command = ReplayCommand::new(spill_lines(&[span("a", 10)]).join("\n"));
    std::fs::write(command.path("damaged"), "baton replay ledger 1\nwhat?\n").unwrap();
    std::fs::create_dir(command.path("folder")).unwrap();
    for (ledger, expected) in [
        (
            "damaged",
            "invalid line 2 in the ledger damaged: expected an id and an endpoint",
        ),
        ("folder", "cannot open the ledger folder"),
        ("log/ledger", "cannot create the ledger log/ledger"),
        ("log", "invalid line 1 in the ledger log"),
    ] {
        let output = command.replay(&collector, &["--ledger", ledger]).await;
        assert!(output.err.contains(expected), "{}", output.err);
        assert_eq!((output.code, output.out.as_str()), (Some(4), ""));
    }
    assert_eq!(collector.request_count(), 0);
}
