use clap::CommandFactory;

use super::*;

/// Columns of a terminal of the usual size.
const COLUMNS: usize = 80;

/// Parses the command line without variables.
fn parse<'a>(arguments: impl AsRef<[&'a str]>) -> Result<Cli, clap::Error> {
    super::parse(arguments.as_ref(), |_| None)
}

fn rejected(arguments: &[&str]) -> String {
    parse([&["baton"], arguments].concat())
        .unwrap_err()
        .to_string()
}

#[test]
fn the_definition_is_valid() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_fits_into_the_usual_width() {
    let mut command = Cli::command();
    command.build();
    for (name, option) in [
        ("up", "--function <PATH>"),
        ("demo", "--function <PATH>"),
        ("load", "--rate <N>"),
        ("replay", "--ledger <PATH>"),
    ] {
        let help = command
            .find_subcommand_mut(name)
            .unwrap()
            .render_long_help()
            .to_string();
        assert!(
            help.contains("Exit codes:") && help.contains(option),
            "{help}"
        );
        let wide = help
            .lines()
            .filter(|line| line.chars().count() > COLUMNS)
            .collect::<Vec<_>>();
        assert!(wide.is_empty(), "{wide:#?}");
    }
}

#[test]
fn default_values_are_in_the_help_without_lines_of_spaces() {
    let mut command = Cli::command();
    for name in ["up", "load"] {
        let command = command.find_subcommand_mut(name).unwrap();
        let help = command.render_long_help().to_string();
        let lines = help.lines();
        let trailing = lines.filter(|line| line.ends_with(' ')).count();
        assert_eq!(trailing, 0, "{help}");
    }
    assert!(
        help_of("up").contains("an invocation [default: 5s] "),
        "{}",
        help_of("up")
    );
}

#[test]
fn invalid_values_are_rejected_with_the_expected_ones() {
    assert!(
        rejected(&["up", "--faults", "explode=a"]).contains("KIND one of fail-once, panic, slow")
    );
    assert!(rejected(&["up", "--env", "=x"]).contains("expected NAME=VALUE"));
    assert!(rejected(&["up", "--visibility-timeout", "soon"]).contains("such as 500ms, 3s or 2m"));
    assert!(rejected(&["up", "--batch-size", "0"]).contains("--batch-size"));
    for number in ["0", "-1", "many"] {
        let error = rejected(&["up", &format!("--concurrency={number}")]);
        assert!(error.contains("expected a positive integer"), "{error}");
    }
    assert!(rejected(&["up", "--max-receive-count", "1001"]).contains("from 1 to 1000"));
    assert!(rejected(&["up", "--sqs-only", "--function", "x"]).contains("cannot be used with"));
    assert!(rejected(&["up", "--sqs-port", "65536"]).contains("--sqs-port"));
}

#[test]
fn an_allowed_host_has_neither_scheme_nor_port() {
    assert!(accepted(&[
        "--sqs-only",
        "--allow-host=a.test",
        "--allow-host=10.0.0.5"
    ]));
    let error = rejected_by_up(&["--allow-host", "http://a.test:80"]);
    assert!(error.contains("without scheme and port"), "{error}");
}

#[test]
fn faults_may_be_listed() {
    let listed = parse(["baton", "up", "--faults", "panic=a,slow=b", "--json"]);
    assert!(listed.is_ok(), "{listed:?}");
}

fn accepted(arguments: &[&str]) -> bool {
    parse([&["baton", "up"], arguments].concat()).is_ok()
}

fn rejected_by_up(arguments: &[&str]) -> String {
    rejected(&[&["up"], arguments].concat())
}

#[test]
fn values_that_aws_rejects_are_invalid() {
    for (option, value, expected) in [
        ("--batch-size", "10001", "from 1 to 10000"),
        ("--batching-window", "301s", "300s or less"),
        ("--function-timeout", "0s", "more than 0s"),
        ("--function-timeout", "901s", "15m or less"),
        ("--visibility-timeout", "721m", "720m (12 hours) or less"),
        ("--visibility-timeout", "1500ms", "whole seconds"),
    ] {
        let error = rejected_by_up(&[option, value]);
        assert!(error.contains(expected), "{option} {value}: {error}");
    }
    assert!(accepted(&[
        "--batch-size=10000",
        "--batching-window=300s",
        "--function-timeout=15m",
        "--visibility-timeout=720m"
    ]));
}

#[test]
fn combinations_that_aws_rejects_are_argument_errors() {
    let error = rejected_by_up(&["--batch-size", "11"]);
    assert!(
        error.contains("--batch-size 11 requires a --batching-window of at least 1s"),
        "{error}"
    );
    assert!(error.contains("Usage: baton up "), "{error}");
    assert!(accepted(&["--batch-size=11", "--batching-window=1s"]));
    let error = rejected_by_up(&["--visibility-timeout", "4s"]);
    assert!(
        error.contains("--function-timeout 5s is longer than --visibility-timeout 4s"),
        "{error}"
    );
    assert!(accepted(&["--visibility-timeout=5s"]));
    let error = parse(["baton", "up", "--batch-size", "11"]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn sqs_only_accepts_its_port_and_no_option_for_the_rest() {
    assert!(accepted(&["--sqs-only", "--json", "--sqs-port", "9324"]));
    for option in [
        "--logs",
        "--no-freeze",
        "--producer-port=1",
        "--batch-size=1",
    ] {
        let error = rejected_by_up(&["--sqs-only", option]);
        assert!(error.contains("cannot be used with"), "{error}");
        let name = option.split('=').next().unwrap();
        assert!(error.contains(&format!("'{name}")), "{error}");
    }
}

#[test]
fn sqs_only_conflicts_with_every_other_option() {
    let mut command = Cli::command();
    command.build();
    let up = command.find_subcommand("up").unwrap();
    let find = |id: &str| up.get_arguments().find(|argument| argument.get_id() == id);
    let conflicts = up.get_arg_conflicts_with(find("sqs_only").unwrap());
    let taken = up
        .get_arguments()
        .map(|argument| argument.get_id())
        .filter(|id| !conflicts.iter().any(|conflict| conflict.get_id() == *id));
    assert_eq!(
        taken.collect::<Vec<_>>(),
        ["json", "sqs_only", "sqs_port", "allow_host", "help"]
    );
}

#[test]
fn the_help_of_demo_says_which_function_it_is_for() {
    let help = help_of("demo");
    assert!(
        help.contains("run any other function with `baton up`") && !help.contains("any binary"),
        "{help}"
    );
}

#[test]
fn load_arguments_that_have_no_effect_are_errors() {
    let accepted = |arguments: &[&str]| parse([&["baton", "load"], arguments].concat()).is_ok();
    let url = "--url=http://127.0.0.1:1/onboarding";
    let blackfriday = "--profile=blackfriday";
    assert!(accepted(&["--rate=0.5", "--duration=2m"]));
    assert!(accepted(&[url, blackfriday, "--faults-enabled"]));
    assert!(accepted(&["--concurrency=5", "--expected-interval=10ms"]));
    for (arguments, expected) in [
        (&["--rate=0"][..], "above 0"),
        (&["--rate=5", "--concurrency=5"], "cannot be used with"),
        (&["--expected-interval=1s"], "--concurrency"),
        (&["--concurrency=5", "--profile=ramp"], "use --rate"),
        (&[blackfriday, "--faults-enabled"], "--url"),
        (&[url, "--faults-enabled"], "--profile blackfriday"),
        (&[url, "--function=x"], "cannot be used with"),
        (&["--queue-url=http://127.0.0.1/q"], "--url"),
        (&["--url=127.0.0.1:8080"], "expected http://HOST"),
        (&["--duration=0s"], "more than 0s"),
    ] {
        let error = rejected(&[&["load"], arguments].concat());
        assert!(error.contains(expected), "{arguments:?}: {error}");
        assert!(
            error.contains("baton load") || error.contains("--help"),
            "{error}"
        );
    }
}

/// Returns the long help of a subcommand, with line breaks replaced by spaces.
fn help_of(name: &str) -> String {
    let mut command = Cli::command();
    let command = command.find_subcommand_mut(name).unwrap();
    let help = command.render_long_help().to_string();
    help.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_help_of_up_says_where_logs_go() {
    let help = help_of("up");
    let expected = "the logs of the function and the producer to standard error";
    assert!(help.contains(expected), "{help}");
}

#[test]
fn the_help_of_replay_says_what_the_ledger_and_the_secret_mean() {
    let help = help_of("replay");
    for expected in [
        "The ledger identifies endpoints by their URL",
        "If OTEL_EXPORTER_OTLP_HEADERS_SECRET is set, OTEL_EXPORTER_OTLP_HEADERS must be set too, or nothing is sent",
    ] {
        assert!(help.contains(expected), "{expected}: {help}");
    }
}

#[test]
fn the_help_of_up_describes_the_producer() {
    let help = help_of("up");
    let expected = "logs a line of JSON with the message \"listening\" and the field address";
    assert!(
        help.contains(expected) && help.contains("GET /readyz"),
        "{help}"
    );
}
