use clap::{CommandFactory, Parser};

use super::*;

/// Wider help would be wrapped by a terminal of the usual size.
const COLUMNS: usize = 80;

fn refused(arguments: &[&str]) -> String {
    let arguments = std::iter::once(&"baton").chain(arguments);
    Arguments::try_parse_from(arguments)
        .unwrap_err()
        .to_string()
}

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn the_help_fits_into_the_usual_width() {
    let mut command = Arguments::command();
    command.build();
    for name in ["up", "demo"] {
        let help = command
            .find_subcommand_mut(name)
            .unwrap()
            .render_long_help()
            .to_string();
        assert!(
            help.contains("Exit codes:") && help.contains("--function <PATH>"),
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
fn what_makes_no_sense_is_refused_with_what_was_expected() {
    assert!(
        refused(&["up", "--faults", "explode=a"]).contains("KIND one of fail-once, panic, slow")
    );
    assert!(refused(&["up", "--env", "=x"]).contains("expected NAME=VALUE"));
    assert!(refused(&["up", "--visibility-timeout", "soon"]).contains("such as 500ms, 3s or 2m"));
    assert!(refused(&["up", "--batch-size", "0"]).contains("--batch-size"));
    assert!(refused(&["up", "--max-receive-count", "1001"]).contains("from 1 to 1000"));
    assert!(refused(&["up", "--sqs-only", "--function", "x"]).contains("cannot be used with"));
    assert!(refused(&["up", "--sqs-port", "65536"]).contains("--sqs-port"));
}

#[test]
fn faults_may_be_listed() {
    let listed = Arguments::try_parse_from(["baton", "up", "--faults", "panic=a,slow=b", "--json"]);
    assert!(listed.is_ok(), "{listed:?}");
}
