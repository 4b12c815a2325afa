//! Environments: invocations, freezing, errors, limits, termination.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use baton_local::environment::{Freeze, InvalidFunction, InvokeError, LogSource, Phase};
use bytes::Bytes;

use crate::function::TICK;
use crate::support::{eventually, function, invoke, process_state, start, wait_until_working};

#[tokio::test]
async fn a_payload_and_its_response_pass_byte_for_byte() {
    let lambda = start(|_| {}).await;

    assert_eq!(
        invoke(&lambda, "echo { \"b\" : 1.0,  \"a\":\"\\u00e4\" }").await,
        "{ \"b\" : 1.0,  \"a\":\"\\u00e4\" }"
    );
    assert_eq!(invoke(&lambda, "echo").await, "");
}

#[tokio::test]
async fn one_caller_at_a_time_keeps_one_environment() {
    let lambda = start(|_| {}).await;
    for _ in 0..20 {
        invoke(&lambda, "echo x").await;
    }

    let snapshot = lambda.snapshot();
    assert_eq!(
        (snapshot.started, snapshot.invocations, snapshot.succeeded),
        (1, 20, 20)
    );
    assert_eq!(snapshot.environments[0].invocations, 20);
}

#[tokio::test]
async fn the_event_comes_with_lambdas_headers() {
    let lambda = start(|function| function.timeout = Duration::from_secs(9)).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let headers: HashMap<String, String> =
        serde_json::from_str(&invoke(&lambda, "headers").await).unwrap();

    let deadline = Duration::from_millis(headers["lambda-runtime-deadline-ms"].parse().unwrap());
    let left = deadline - now;
    assert!(
        left >= Duration::from_millis(8_999) && left < Duration::from_secs(29),
        "{left:?}"
    );
    assert_eq!(
        headers["lambda-runtime-invoked-function-arn"],
        "arn:aws:lambda:eu-central-1:123456789012:function:under-test"
    );
    assert_eq!(headers["lambda-runtime-aws-request-id"].len(), 36);
    let trace: Vec<_> = headers["lambda-runtime-trace-id"]
        .split(['=', ';', '-'])
        .map(str::len)
        .collect();
    assert_eq!(trace, [4, 1, 8, 24, 6, 16, 7, 1], "{headers:?}");
}

#[tokio::test]
async fn the_environment_has_lambdas_variables_and_not_those_of_the_stack() {
    let lambda = start(|function| {
        function
            .env
            .insert("OTEL_SERVICE_NAME".into(), "own".into());
    })
    .await;
    let variables: HashMap<String, String> =
        serde_json::from_str(&invoke(&lambda, "variables").await).unwrap();

    let fixed = [
        ("AWS_LAMBDA_FUNCTION_NAME", "under-test"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/under-test"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("_HANDLER", "bootstrap"),
        ("TZ", ":UTC"),
        ("OTEL_SERVICE_NAME", "own"),
    ];
    for (name, value) in fixed {
        assert_eq!(
            variables.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
    assert!(variables["AWS_LAMBDA_RUNTIME_API"].starts_with("127.0.0.1:"));
    // Cargo sets this variable for every test.
    assert!(
        std::env::var_os("CARGO_MANIFEST_DIR").is_some()
            && !variables.contains_key("CARGO_MANIFEST_DIR")
    );
}

#[tokio::test]
async fn nothing_runs_between_invocations() {
    let (before, after) = ticks_around_a_pause(Freeze::BetweenInvocations).await;
    // The thread may count once when it is continued, and it counts during the two invocations.
    assert!(after - before < 50, "{before} to {after}");
}

#[tokio::test]
async fn without_freezing_the_process_runs_during_a_pause() {
    let (before, after) = ticks_around_a_pause(Freeze::Never).await;
    assert!(after - before >= 50, "{before} to {after}");
}

/// Returns the counts of the function's thread before and after a pause of 200 ticks.
async fn ticks_around_a_pause(freeze: Freeze) -> (u64, u64) {
    let lambda = start(|function| function.freeze = freeze).await;
    let before = invoke(&lambda, "ticks").await.parse().unwrap();
    tokio::time::sleep(TICK * 200).await;
    let after = invoke(&lambda, "ticks").await.parse().unwrap();
    assert_eq!(lambda.snapshot().started, 1);
    (before, after)
}

#[tokio::test]
async fn a_waiting_process_is_stopped() {
    let lambda = start(|_| {}).await;
    invoke(&lambda, "echo x").await;
    eventually("the environment is idle", || {
        lambda.snapshot().environments[0].phase == Phase::Idle
    })
    .await;

    let pid = lambda.snapshot().environments[0].pid.unwrap();
    eventually("the process is stopped", || process_state(pid) == Some('T')).await;
}

#[tokio::test]
async fn code_after_the_response_runs_before_the_freeze() {
    let lambda = start(|function| function.max_concurrency = NonZeroUsize::MIN).await;
    let started = Instant::now();
    invoke(&lambda, "linger 300").await;
    assert_eq!(lambda.snapshot().environments[0].phase, Phase::Finishing);

    // The only environment is about to become free, so the event waits for it and is not throttled.
    assert_eq!(invoke(&lambda, "lingered").await, "1");
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(lambda.snapshot().started, 1);
}

#[tokio::test]
async fn an_environment_that_lingers_does_not_block_others() {
    let lambda = start(|_| {}).await;
    invoke(&lambda, "linger 60000").await;
    invoke(&lambda, "echo x").await;

    assert_eq!(lambda.snapshot().started, 2);
}

#[tokio::test]
async fn a_timeout_kills_the_environment() {
    let lambda = start(|function| function.timeout = Duration::from_millis(500)).await;
    let invocation = lambda.invoke(Bytes::from_static(b"sleep 60000"));
    let (error, pid) = tokio::join!(invocation, async {
        wait_until_working(&lambda).await;
        lambda.snapshot().environments[0].pid.unwrap()
    });

    let error = error.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("Task timed out after 0.50 seconds"),
        "{error}"
    );
    assert!(
        matches!(error, InvokeError::TimedOut { .. }) && error.error_type() == "Sandbox.Timedout"
    );
    assert_eq!(process_state(pid), None);
    assert_eq!(lambda.snapshot().timed_out, 1);
    assert_eq!(invoke(&lambda, "echo again").await, "again");
}

#[tokio::test]
async fn a_function_that_never_stops_writing_meets_its_deadline() {
    let lambda = start(|function| function.timeout = Duration::from_millis(500)).await;
    let error = lambda
        .invoke(Bytes::from_static(b"babble"))
        .await
        .unwrap_err();

    assert!(matches!(error, InvokeError::TimedOut { .. }), "{error}");
    assert!(logged(&lambda, "babble"));
}

#[tokio::test]
async fn a_timeout_after_the_response_kills_the_environment() {
    let lambda = start(|function| function.timeout = Duration::from_millis(500)).await;
    assert_eq!(invoke(&lambda, "linger 60000").await, "");

    eventually("the environment is killed", || {
        lambda.snapshot().environments.is_empty()
    })
    .await;
    let snapshot = lambda.snapshot();
    assert_eq!(
        (snapshot.succeeded, snapshot.failed, snapshot.timed_out),
        (1, 0, 1)
    );
}

#[tokio::test]
async fn a_process_that_exits_is_replaced() {
    let lambda = start(|function| function.max_concurrency = NonZeroUsize::MIN).await;
    for (event, reason) in [
        ("exit 3", "exit status 3"),
        ("exit 0", "without providing a reason"),
        ("panic", "exit status 101"),
    ] {
        let error = lambda.invoke(Bytes::from(event)).await.unwrap_err();
        assert!(
            matches!(error, InvokeError::Exited { .. })
                && error.error_type() == "Runtime.ExitError"
        );
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(invoke(&lambda, "echo replaced").await, "replaced");
    }
    assert_eq!(lambda.snapshot().exited, 3);
}

#[tokio::test]
async fn a_response_counts_even_if_the_process_exits_with_it() {
    let lambda = start(|function| function.max_concurrency = NonZeroUsize::MIN).await;
    for _ in 0..10 {
        assert_eq!(invoke(&lambda, "respond-and-exit").await, "last words");
    }
    eventually("all have ended", || {
        lambda.snapshot().environments.is_empty()
    })
    .await;
    assert_eq!(
        (lambda.snapshot().started, lambda.snapshot().exited),
        (10, 10)
    );
}

#[tokio::test]
async fn an_error_of_the_function_is_returned() {
    let lambda = start(|_| {}).await;
    let error = lambda
        .invoke(Bytes::from_static(b"error no such plan"))
        .await
        .unwrap_err();

    let InvokeError::Function {
        error_type,
        message,
        payload,
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (error_type.as_str(), message.as_str()),
        ("Asked", "no such plan")
    );
    assert_eq!(
        payload,
        r#"{"errorMessage":"no such plan","errorType":"Asked"}"#
    );
    assert_eq!(invoke(&lambda, "echo still here").await, "still here");
    assert_eq!(lambda.snapshot().started, 1);
}

#[tokio::test]
async fn an_init_error_is_reported_as_such() {
    let lambda = start(|function| drop(function.env.insert("INIT".into(), "error".into()))).await;
    let error = lambda.invoke(Bytes::new()).await.unwrap_err();

    assert!(error.is_unavailable());
    let InvokeError::Init {
        error_type,
        message,
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (error_type.as_str(), message.as_str()),
        ("NoConfiguration", "nothing to work with")
    );
    assert_eq!(
        (
            lambda.snapshot().init_failed,
            lambda.snapshot().environments.len()
        ),
        (1, 0)
    );
}

#[tokio::test]
async fn an_exit_before_the_first_event_is_an_init_error() {
    let lambda = start(|function| drop(function.env.insert("INIT".into(), "exit".into()))).await;
    let error = lambda.invoke(Bytes::new()).await.unwrap_err();

    assert_eq!(error.error_type(), "Runtime.ExitError");
    assert!(
        matches!(&error, InvokeError::Init { message, .. } if message.contains("exit status 7")),
        "{error}"
    );
}

#[tokio::test]
async fn an_init_has_ten_seconds() {
    let lambda = start(|function| drop(function.env.insert("INIT".into(), "hang".into()))).await;
    let started = Instant::now();
    let error = lambda.invoke(Bytes::new()).await.unwrap_err();

    assert!(matches!(error, InvokeError::InitTimedOut { .. }), "{error}");
    assert!(started.elapsed() >= Duration::from_secs(10));
    assert_eq!(
        (
            lambda.snapshot().init_failed,
            lambda.snapshot().environments.len()
        ),
        (1, 0)
    );
}

#[tokio::test]
async fn an_event_that_finds_all_environments_busy_is_throttled() {
    let lambda = start(|function| function.max_concurrency = NonZeroUsize::MIN).await;
    let busy = tokio::spawn({
        let lambda = lambda.clone();
        async move { invoke(&lambda, "sleep 1000").await }
    });
    eventually("the environment is busy", || {
        lambda.snapshot().invocations == 1 && !lambda.snapshot().environments.is_empty()
    })
    .await;

    let error = lambda
        .invoke(Bytes::from_static(b"echo x"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, InvokeError::Throttled { max_concurrency: 1 }),
        "{error}"
    );
    assert_eq!(busy.await.unwrap(), "awake");
    assert_eq!(
        (lambda.snapshot().throttled, lambda.snapshot().succeeded),
        (1, 1)
    );
}

#[tokio::test]
async fn concurrent_events_get_an_environment_each() {
    let lambda = start(|_| {}).await;
    let (one, two) = tokio::join!(invoke(&lambda, "sleep 300"), invoke(&lambda, "sleep 300"));

    assert_eq!(
        (one.as_str(), two.as_str(), lambda.snapshot().started),
        ("awake", "awake", 2)
    );
}

#[tokio::test]
async fn idle_environments_are_reaped() {
    let lambda = start(|function| function.idle_after = Duration::from_millis(100)).await;
    invoke(&lambda, "echo x").await;
    eventually("the environment is reaped", || {
        lambda.snapshot().reaped == 1 && lambda.snapshot().environments.is_empty()
    })
    .await;

    assert_eq!(invoke(&lambda, "echo again").await, "again");
    assert_eq!(lambda.snapshot().started, 2);
}

#[tokio::test]
async fn killing_idle_environments_leaves_busy_ones() {
    let lambda = start(|_| {}).await;
    tokio::join!(invoke(&lambda, "sleep 100"), invoke(&lambda, "sleep 100"));
    let busy = tokio::spawn({
        let lambda = lambda.clone();
        async move { invoke(&lambda, "sleep 700").await }
    });
    eventually("one is idle and one busy", || {
        let environments = lambda.snapshot().environments;
        [Phase::Idle, Phase::Running].iter().all(|phase| {
            environments
                .iter()
                .any(|environment| environment.phase == *phase)
        })
    })
    .await;

    lambda.kill_idle().await;

    assert_eq!(
        (
            lambda.snapshot().killed,
            lambda.snapshot().environments.len()
        ),
        (1, 1)
    );
    assert_eq!(busy.await.unwrap(), "awake");
}

#[tokio::test]
async fn a_shutdown_leaves_no_process_behind() {
    let lambda = start(|_| {}).await;
    let grandchild: u32 = invoke(&lambda, "child").await.parse().unwrap();
    let busy = tokio::spawn({
        let lambda = lambda.clone();
        async move { lambda.invoke(Bytes::from_static(b"sleep 60000")).await }
    });
    wait_until_working(&lambda).await;
    let pids: Vec<_> = lambda
        .snapshot()
        .environments
        .iter()
        .filter_map(|environment| environment.pid)
        .collect();

    lambda.shutdown().await;

    assert!(matches!(busy.await.unwrap(), Err(InvokeError::ShutDown)));
    assert!(matches!(
        lambda.invoke(Bytes::new()).await,
        Err(InvokeError::ShutDown)
    ));
    assert!(
        !pids.is_empty() && pids.iter().all(|pid| process_state(*pid).is_none()),
        "{pids:?}"
    );
    // The parent is gone, so the process remains a zombie until the adopting process waits for it.
    eventually("the grandchild has ended", || {
        matches!(process_state(grandchild), None | Some('Z'))
    })
    .await;
}

#[tokio::test]
async fn dropping_the_last_handle_kills_the_environments() {
    let lambda = start(|_| {}).await;
    invoke(&lambda, "echo x").await;
    let pid = lambda.snapshot().environments[0].pid.unwrap();
    drop(lambda);

    eventually("the process has ended", || process_state(pid).is_none()).await;
}

#[tokio::test]
async fn a_response_may_be_as_large_as_on_aws_and_no_larger() {
    let lambda = start(|_| {}).await;
    let largest = 6 * 1024 * 1024 + 100;
    assert_eq!(
        invoke(&lambda, &format!("large {largest}")).await.len(),
        largest
    );

    let error = lambda
        .invoke(Bytes::from(format!("large {}", largest + 1)))
        .await
        .unwrap_err();

    assert_eq!(error.error_type(), "Function.ResponseSizeTooLarge");
    assert_eq!(invoke(&lambda, "echo still here").await, "still here");
    eventually("the runtime gets the status", || {
        logged(&lambda, "status 413")
    })
    .await;
    assert_eq!(lambda.snapshot().started, 1);
}

#[tokio::test]
async fn an_event_that_is_too_large_is_rejected() {
    let lambda = start(|_| {}).await;
    let error = lambda
        .invoke(Bytes::from(vec![b'x'; 6 * 1024 * 1024 + 1]))
        .await
        .unwrap_err();
    assert!(
        matches!(error, InvokeError::PayloadTooLarge { .. }),
        "{error}"
    );
    assert_eq!(lambda.snapshot().started, 0);
}

#[tokio::test]
async fn responses_may_be_streamed() {
    let lambda = start(|_| {}).await;
    assert_eq!(invoke(&lambda, "stream").await, "one two");

    let error = lambda
        .invoke(Bytes::from_static(b"stream-error"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, InvokeError::Function { error_type, .. } if error_type == "Streamed"),
        "{error}"
    );
}

#[tokio::test]
async fn invalid_responses_are_rejected() {
    let lambda = start(|_| {}).await;
    assert_eq!(invoke(&lambda, "confused").await, "mine");
    eventually("the statuses are logged", || {
        logged(&lambda, "statuses [400, 202, 403]")
    })
    .await;

    assert_eq!(invoke(&lambda, "skip").await, "403");
}

#[tokio::test]
async fn lines_are_kept_with_their_invocation() {
    let lambda = start(|_| {}).await;
    invoke(&lambda, "echo x").await;
    eventually("all lines are logged", || {
        ["initialising", "handling echo"]
            .iter()
            .all(|text| logged(&lambda, text))
    })
    .await;
    eventually("the report is logged", || {
        lambda
            .logs()
            .recent()
            .iter()
            .any(|line| line.text.starts_with("REPORT"))
    })
    .await;

    let lines = lambda.logs().recent();
    let line = |text: &str| {
        lines
            .iter()
            .find(|line| line.text.starts_with(text))
            .unwrap()
    };
    assert_eq!(
        (
            line("initialising").source,
            &line("initialising").request_id
        ),
        (LogSource::Stderr, &None)
    );
    let start = line("START RequestId: ");
    assert!(start.text.contains(&**start.request_id.as_ref().unwrap()));
    assert_eq!(line("handling").request_id, start.request_id);
    assert_eq!(
        (line("handling").source, line("REPORT").source),
        (LogSource::Stdout, LogSource::Platform)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_gets_the_request_id_of_another_invocation() {
    let lambda = start(|_| {}).await;
    for _ in 0..300 {
        invoke(&lambda, "introduce").await;
    }

    let lines = lambda.logs().recent();
    let introductions: Vec<_> = lines
        .iter()
        .filter(|line| line.text.starts_with("introduce "))
        .collect();
    assert_eq!(introductions.len(), 300);
    for line in introductions {
        assert_eq!(
            line.text.strip_prefix("introduce "),
            line.request_id.as_deref()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_between_invocations_lose_no_event() {
    let lambda = start(|function| function.max_concurrency = NonZeroUsize::new(4).unwrap()).await;
    let callers: Vec<_> = (0..4)
        .map(|caller| {
            let lambda = lambda.clone();
            tokio::spawn(async move {
                for number in 0..50 {
                    let text = format!("{caller}/{number}");
                    assert_eq!(invoke(&lambda, &format!("echo {text}")).await, text);
                }
            })
        })
        .collect();
    while !callers.iter().all(tokio::task::JoinHandle::is_finished) {
        lambda.kill_idle().await;
        tokio::task::yield_now().await;
    }
    for caller in callers {
        caller.await.unwrap();
    }

    let snapshot = lambda.snapshot();
    assert_eq!(
        (snapshot.succeeded, snapshot.failed, snapshot.throttled),
        (200, 0, 0)
    );
    assert!(
        snapshot.killed > 0 && snapshot.started > snapshot.killed - 1,
        "{snapshot:?}"
    );
}

#[tokio::test]
async fn invalid_functions_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "").unwrap();

    let mut missing = function();
    missing.binary = folder.path().join("missing");
    let mut not_executable = function();
    not_executable.binary = plain;
    let mut reserved = function();
    reserved
        .env
        .insert("AWS_LAMBDA_RUNTIME_API".into(), "elsewhere".into());
    let mut endless = function();
    endless.timeout = Duration::from_secs(901);

    assert!(matches!(
        creation_error(missing),
        InvalidFunction::Binary { .. }
    ));
    assert!(matches!(
        creation_error(not_executable),
        InvalidFunction::NotExecutable { .. }
    ));
    assert!(matches!(
        creation_error(reserved),
        InvalidFunction::ReservedVariable { .. }
    ));
    assert!(matches!(
        creation_error(endless),
        InvalidFunction::Timeout { .. }
    ));
}

fn creation_error(function: baton_local::environment::Function) -> InvalidFunction {
    baton_local::environment::Lambda::new(function).unwrap_err()
}

fn logged(lambda: &baton_local::environment::Lambda, text: &str) -> bool {
    lambda
        .logs()
        .recent()
        .iter()
        .any(|line| &*line.text == text)
}
