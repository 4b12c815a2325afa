//! `baton replay`.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{EXIT_CODES_HELP, Exit};
use super::signals::Signals;
use super::terminal;
use crate::replay::{Place, Replay, ReplayError, Report, Settings};

/// Where programs keep what is to survive them (XDG Base Directory Specification), and where that
/// is by default, from the home directory.
const STATE_HOME: &str = "XDG_STATE_HOME";
const DEFAULT_STATE_HOME: &str = ".local/state";
/// The ledger, from there.
const LEDGER: &str = "baton/replay-ledger";

const EXAMPLES: &str = "\
Examples:
  aws logs tail /aws/lambda/orders --since 1h | baton replay -
      from CloudWatch Logs to the collector on this machine
  baton replay export/*.gz --endpoint https://collector.example:4318
      from an export to S3 to another collector
  baton replay --dry-run log.json
      only count the spans

";

/// Send spans on that a function or service wrote to its log
///
/// When no collector takes its spans, Baton writes them to the log, in lines marked "baton.spill".
/// This finds them in any log: as it was written, as the AWS CLI or the console exports it (text,
/// JSON, YAML, CSV), compressed with gzip (even several times), in UTF-16, and in events of
/// CloudWatch's subscription filters, Kinesis and Firehose, whose base64 is decoded. Fragments of
/// long spans are joined, and missing ones are reported.
///
/// Lines that a log pipeline split are joined too: those of FireLens (partial_id), Docker,
/// containerd (P and F) and journald (journalctl --output=json --all). Unmarked pieces, such as
/// those of Docker's awslogs driver, are joined only if they form a complete line with all its
/// spans.
///
/// A log without such lines is not an error. A part of a log that is not understood, because it is
/// in another compression format, encrypted, cut off or corrupt, is reported with its position.
/// Spans found elsewhere, or before the error, are still sent, and the exit code is 5.
///
/// The spans go out with their own times and ids, as OTEL_EXPORTER_OTLP_* say: protocol, headers,
/// certificates, compression, timeout. Where OTEL_EXPORTER_OTLP_HEADERS_SECRET is set, nothing is
/// sent unless OTEL_EXPORTER_OTLP_HEADERS is set too: the secret is not read.
///
/// What an endpoint has accepted is entered in a ledger, so that reading the same log again sends
/// it nothing. The ledger is kept per endpoint, by its URL: another endpoint, or the same one by
/// another name, is sent everything.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES_HELP, after_long_help = format!("{EXAMPLES}{EXIT_CODES_HELP}"))]
pub(super) struct ReplayArgs {
    /// Logs to look for spans in; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where to send the spans, as in OTEL_EXPORTER_OTLP_ENDPOINT, which it
    /// replaces together with OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// What has been sent to which endpoint [default: baton/replay-ledger under
    /// $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "PATH")]
    ledger: Option<PathBuf>,
    /// Send also what the ledger says has been sent
    #[arg(long)]
    force: bool,
    /// Only count what would be sent
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Replays unless a signal arrives first.
pub(super) async fn run(arguments: ReplayArgs, signals: &mut Signals) -> Exit {
    let is_json = arguments.json;
    let Some(settings) = settings(arguments) else {
        terminal::say(format_args!(
            "error: there is no place for the ledger: set HOME or {STATE_HOME}, or name one with --ledger"
        ));
        return Exit::StartFailed;
    };
    let replay = match Replay::new(settings) {
        Ok(replay) => replay,
        Err(error) => {
            print_error(&error);
            return Exit::StartFailed;
        }
    };
    let mut report = Report::default();
    let outcome = tokio::select! {
        outcome = replay.run(&mut report) => Some(outcome),
        () = signals.recv() => None,
    };
    let printed = print(&report, is_json);
    command_exit(outcome, &report, printed)
}

/// Tells of each setting that is wrong as of an error of its own.
fn print_error(error: &ReplayError) {
    match error {
        ReplayError::Environment(invalid) => {
            for setting in invalid.settings() {
                terminal::error(setting);
            }
        }
        error => terminal::error(error),
    }
}

fn command_exit(
    outcome: Option<Result<(), ReplayError>>,
    report: &Report,
    printed: io::Result<()>,
) -> Exit {
    match (outcome, printed) {
        (None, _) => Exit::Interrupted,
        (Some(Err(error)), _) => {
            terminal::error(&error);
            Exit::Failed
        }
        (Some(Ok(())), Err(error)) => {
            terminal::error(&error);
            Exit::Failed
        }
        (Some(Ok(())), Ok(())) if !report.is_complete() => Exit::Failed,
        (Some(Ok(())), Ok(())) if !report.is_understood() => Exit::NotUnderstood,
        (Some(Ok(())), Ok(())) => Exit::Done,
    }
}

fn settings(arguments: ReplayArgs) -> Option<Settings> {
    let place = |path: PathBuf| {
        if path == Path::new("-") {
            Place::StandardInput
        } else {
            Place::File(path)
        }
    };
    Some(Settings {
        places: arguments.files.into_iter().map(place).collect(),
        endpoint: arguments.endpoint,
        ledger: arguments.ledger.or_else(default_ledger)?,
        is_forced: arguments.force,
        is_dry_run: arguments.dry_run,
    })
}

/// The specification has relative paths ignored.
fn default_ledger() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).map(PathBuf::from);
    let state = folder(STATE_HOME).filter(|path| path.is_absolute());
    let home = || folder("HOME").map(|home| home.join(DEFAULT_STATE_HOME));
    state.or_else(home).map(|state| state.join(LEDGER))
}

fn print(report: &Report, is_json: bool) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    if is_json {
        writeln!(out, "{}", report.to_json())?;
    } else {
        write!(out, "{report}")?;
    }
    out.flush()
}
