use tokio::net::TcpListener;

use crate::support::{FakeService, LoadRun, baton, finished, run};

/// Runs `baton load` with these variables.
async fn load(variables: &[(&str, &str)], arguments: &[&str]) -> LoadRun {
    let mut command = baton();
    command.args(["load", "--json=-"]).args(arguments);
    command.envs(variables.iter().copied());
    run(command).await
}

async fn rejected(variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let run = load(variables, arguments).await;
    assert_eq!(run.code(), Some(2), "{}", run.stderr());
    run.stderr()
}

#[tokio::test]
async fn variables_set_the_options() {
    let service = FakeService::start().await;
    let variables = [
        ("BATON_LOAD_URL", &*service.url),
        ("BATON_LOAD_RATE", "50"),
        ("BATON_LOAD_DURATION", "400ms"),
        ("BATON_LOAD_TIMEOUT", "3s"),
        ("BATON_LOAD_MAX_OUTSTANDING", "7"),
        ("BATON_LOAD_PROFILE", "soak"),
        ("BATON_LOAD_HEADER", "x-one: 1\nx-two: 2\n"),
        ("BATON_LOAD_SPANS", "false"),
        ("DEMO_MODE", "blackfriday"),
    ];
    let run = load(&variables, &[]).await;
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let configuration = &run.report["configuration"];
    assert_eq!(configuration["profile"], "soak");
    assert_eq!(configuration["rate"], 50.0);
    assert_eq!(configuration["duration"], 0.4);
    assert_eq!(configuration["timeout"], 3.0);
    assert_eq!(configuration["max_outstanding"], 7);
    let received = service.received();
    assert_eq!(received.len(), 20);
    assert_eq!(received[0].headers["x-one"], "1");
    assert_eq!(received[0].headers["x-two"], "2");
}

#[tokio::test]
async fn the_demo_mode_is_the_profile() {
    let service = FakeService::start().await;
    let arguments = ["--rate=20", "--duration=300ms", "--url", &service.url];
    for (variables, profile) in [
        (&[("DEMO_MODE", "blackfriday")][..], "blackfriday"),
        (&[("DEMO_MODE", "")], "steady"),
        (&[("DEMO_MODE", "soak"), ("BATON_LOAD_PROFILE", "")], "soak"),
    ] {
        let run = load(variables, &arguments).await;
        let found = &run.report["configuration"]["profile"];
        assert_eq!(found, profile, "{variables:?}: {}", run.stderr());
    }
    let given = [&arguments[..], &["--profile=steady"]].concat();
    let run = load(&[("DEMO_MODE", "cybermonday")], &given).await;
    assert_eq!(run.report["configuration"]["profile"], "steady");
    let error = rejected(&[("DEMO_MODE", "cybermonday")], &arguments).await;
    for expected in [
        "'cybermonday'",
        "DEMO_MODE",
        "steady, ramp, blackfriday, soak",
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_option_takes_precedence_over_the_variables_that_it_conflicts_with() {
    let service = FakeService::start().await;
    let url = format!("--url={}", service.url);
    let run = load(
        &[
            ("BATON_LOAD_URL", "http://127.0.0.1:1/"),
            ("BATON_LOAD_RATE", "not a number"),
            ("BATON_LOAD_MAX_OUTSTANDING", "5"),
            ("BATON_LOAD_PROFILE", "blackfriday"),
        ],
        &[&url, "--concurrency=2", "--duration=200ms"],
    )
    .await;
    let configuration = &run.report["configuration"];
    assert_eq!(configuration["concurrency"], 2, "{}", run.stderr());
    assert_eq!(configuration["profile"], "steady");
    let run = load(
        &[
            ("BATON_LOAD_CONCURRENCY", "2"),
            ("BATON_LOAD_EXPECTED_INTERVAL", "1s"),
            ("BATON_LOAD_FAULTS_ENABLED", "true"),
        ],
        &[&url, "--profile", "ramp", "--duration=200ms"],
    )
    .await;
    assert_eq!(
        run.report["configuration"]["loop"],
        "open",
        "{}",
        run.stderr()
    );
}

#[tokio::test]
async fn an_error_names_its_variable() {
    for (variables, expected) in [
        (
            &[("BATON_LOAD_RATE", "fast")][..],
            &["'fast'", "set by BATON_LOAD_RATE"][..],
        ),
        (
            &[("BATON_LOAD_RATE", "5"), ("BATON_LOAD_CONCURRENCY", "5")],
            &[
                "set by BATON_LOAD_RATE",
                "cannot be used with",
                "set by BATON_LOAD_CONCURRENCY",
            ],
        ),
        (
            &[("BATON_LOAD_QUEUE_URL", "http://127.0.0.1/q")],
            &["--url <URL>", "BATON_LOAD_QUEUE_URL (--queue-url)"],
        ),
        (
            &[
                ("BATON_LOAD_PROFILE", "ramp"),
                ("BATON_LOAD_CONCURRENCY", "5"),
            ],
            &["use --rate", "BATON_LOAD_PROFILE (--profile)"],
        ),
        (
            &[("BATON_LOAD_FAULTS_ENABLED", "yes")],
            &[
                "BATON_LOAD_FAULTS_ENABLED: expected true or false",
                "Usage: baton load",
            ],
        ),
        (
            &[("BATON_LOAD_TIMEOUT", "0s")],
            &["set by BATON_LOAD_TIMEOUT", "more than 0s"],
        ),
    ] {
        let error = rejected(variables, &[]).await;
        for expected in expected {
            assert!(error.contains(expected), "{variables:?}: {error}");
        }
    }
}

#[tokio::test]
async fn the_value_of_an_invalid_header_is_not_printed() {
    let variables = [
        ("BATON_LOAD_HEADER", "x-api-key=a1b2c3"),
        ("BATON_LOAD_URL", "http://127.0.0.1:1/"),
    ];
    let error = rejected(&variables, &[]).await;
    assert!(error.contains("set by BATON_LOAD_HEADER"), "{error}");
    assert!(!error.contains("a1b2c3"), "{error}");
}

#[tokio::test]
async fn an_empty_variable_counts_as_unset() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", free.local_addr().unwrap());
    drop(free);
    let variables = [
        ("BATON_LOAD_URL", &*url),
        ("BATON_LOAD_RATE", ""),
        ("BATON_LOAD_SPANS", ""),
        ("BATON_LOAD_QUEUE_URL", ""),
    ];
    // The arguments are valid, but nothing listens.
    let run = load(&variables, &[]).await;
    assert_eq!(run.code(), Some(4), "{}", run.stderr());
}

#[tokio::test]
async fn the_help_names_the_variables_without_their_values() {
    let mut command = baton();
    let variables = [
        ("BATON_LOAD_HEADER", "x-api-key: a1b2c3"),
        ("BATON_LOAD_RATE", "not a number"),
    ];
    command.args(["load", "--help"]).envs(variables);
    let output = finished(command.output().await.unwrap()).output;
    let help = String::from_utf8(output.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "[env: BATON_LOAD_HEADER]",
        "[env: BATON_LOAD_RATE]",
        "[env: BATON_LOAD_FAULTS_ENABLED]",
        "[default: steady] [env: BATON_LOAD_PROFILE or DEMO_MODE]",
        "the variable BATON_LOAD_TOKEN",
    ] {
        assert!(help.contains(expected), "{expected}: {help}");
    }
    for hidden in [
        "a1b2c3",
        "not a number",
        "BATON_LOAD_SERVE",
        "BATON_LOAD_FUNCTION",
    ] {
        assert!(!help.contains(hidden), "{hidden}: {help}");
    }
}
