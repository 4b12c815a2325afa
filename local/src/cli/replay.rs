//! `baton replay`.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{EXIT_CODES_HELP, Exit};
use super::signals::Signals;
use super::terminal;
use crate::replay::{InputPath, Replay, ReplayError, ReplayReport, ReplaySettings};

/// Variable for the folder of persistent state (XDG Base Directory Specification), and its default,
/// relative to the home directory.
const STATE_HOME: &str = "XDG_STATE_HOME";
const DEFAULT_STATE_HOME: &str = ".local/state";
/// Path of the ledger in that folder.
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

/// Send spans that a function or service wrote to its log
///
/// When Baton cannot export spans, it writes them to the log, in lines marked "baton.spill". This
/// command finds them in any log: as it was written, as the AWS CLI or the console exports it
/// (text, JSON, YAML, CSV), compressed with gzip (even several times), in UTF-16, and in events of
/// CloudWatch's subscription filters, Kinesis and Firehose, whose base64 is decoded. Fragments of
/// long spans are joined, and missing ones are reported.
///
/// Lines that a log pipeline split are joined as well: those of FireLens (partial_id), Docker,
/// containerd (P and F) and journald (journalctl --output=json --all). Unmarked pieces, such as
/// those of Docker's awslogs driver, are joined only if they form a complete line with all its
/// spans.
///
/// A log without such lines is not an error. A part of a log that cannot be read because it is
/// encrypted, truncated, corrupt or in another compression format is reported with its position.
/// Spans found elsewhere, or before the error, are still sent, and the exit code is 5.
///
/// The spans keep their times and ids. OTEL_EXPORTER_OTLP_* set protocol, headers, certificates,
/// compression and timeout. If OTEL_EXPORTER_OTLP_HEADERS_SECRET is set, OTEL_EXPORTER_OTLP_HEADERS
/// must be set too, or nothing is sent: the secret is not read.
///
/// Spans that an endpoint has accepted are recorded in a ledger and not sent to it again. The
/// ledger identifies endpoints by their URL: the same endpoint under another name gets all spans
/// again.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES_HELP, after_long_help = format!("{EXAMPLES}{EXIT_CODES_HELP}"))]
pub(super) struct ReplayArgs {
    /// Logs to search for spans; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Endpoint for the spans, as in OTEL_EXPORTER_OTLP_ENDPOINT; overrides it and
    /// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// File that records the spans sent to each endpoint [default: baton/replay-ledger under
    /// $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "PATH")]
    ledger: Option<PathBuf>,
    /// Resend spans that the ledger already has
    #[arg(long)]
    force: bool,
    /// Only count the spans that would be sent
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Replays until all files are read or a signal arrives.
pub(super) async fn run(arguments: ReplayArgs, signals: &mut Signals) -> Exit {
    let is_json = arguments.json;
    let Some(settings) = settings(arguments) else {
        terminal::print_line(format_args!(
            "error: no path for the ledger: set HOME or {STATE_HOME}, or give --ledger"
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
    let mut report = ReplayReport::default();
    let outcome = tokio::select! {
        outcome = replay.run(&mut report) => Some(outcome),
        () = signals.recv() => None,
    };
    let printed = print(&report, is_json);
    command_exit(outcome, &report, printed)
}

/// Reports an error; an error about several settings becomes one error per setting.
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
    report: &ReplayReport,
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
        (Some(Ok(())), Ok(())) if !report.is_readable() => Exit::UnreadableInput,
        (Some(Ok(())), Ok(())) => Exit::Done,
    }
}

fn settings(arguments: ReplayArgs) -> Option<ReplaySettings> {
    let input = |path: PathBuf| {
        if path == Path::new("-") {
            InputPath::StandardInput
        } else {
            InputPath::File(path)
        }
    };
    Some(ReplaySettings {
        inputs: arguments.files.into_iter().map(input).collect(),
        endpoint: arguments.endpoint,
        ledger: arguments.ledger.or_else(default_ledger)?,
        is_forced: arguments.force,
        is_dry_run: arguments.dry_run,
    })
}

/// Returns the default path of the ledger. Relative paths are ignored, as the specification
/// requires.
fn default_ledger() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).map(PathBuf::from);
    let state = folder(STATE_HOME).filter(|path| path.is_absolute());
    let home = || folder("HOME").map(|home| home.join(DEFAULT_STATE_HOME));
    state.or_else(home).map(|state| state.join(LEDGER))
}

fn print(report: &ReplayReport, is_json: bool) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    if is_json {
        writeln!(out, "{}", report.to_json())?;
    } else {
        write!(out, "{report}")?;
    }
    out.flush()
}
