//! The command line of `baton`.
//!
//! Results go to standard output, progress and errors to standard error. Each has colours only if
//! it is a terminal and `NO_COLOR` is not set.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::exit::{EXIT_CODES_HELP, Exit, exit_codes};
use self::signals::Signals;

mod binaries;
mod demo;
mod duration;
mod exit;
mod load;
mod logs;
mod options;
mod replay;
mod signals;
mod terminal;
mod up;
mod warnings;

/// Name of the subcommand whose options are also read from variables.
const LOAD: &str = "load";

/// The most common uses, and the exit codes.
const EXAMPLES: &str = concat!(
    "\
Examples:
  baton demo
      run the whole pipeline once, in about ten seconds
  baton up
      keep the stack running and use it from another shell
  baton up --function ./my-function --concurrency 5
      run another function behind the queue
  baton up --faults panic=c-1,slow=c-2
      make the onboarding of c-1 panic once and that of c-2 slow
  baton load --rate 100 --duration 1m
      send load through the whole pipeline and check that every message arrives
  baton up --sqs-only --sqs-port 9324
      run only an SQS endpoint, for any AWS SDK
  aws logs tail /aws/lambda/orders --since 1h | baton replay -
      send the spans that a function could not export

",
    exit_codes!()
);

/// Run an SQS-to-Lambda pipeline on this machine, with complete traces from the HTTP request to the
/// function
///
/// Baton runs an SQS endpoint, an event source mapping, Lambda execution environments for a real
/// function binary, a real producer, and an OTLP receiver. All of them listen on 127.0.0.1. Nothing
/// is installed, and nothing connects to AWS.
#[derive(Debug, Parser)]
#[command(name = "baton", version, after_help = EXIT_CODES_HELP, after_long_help = EXAMPLES, max_term_width = 80, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    Up(Box<up::UpArgs>),
    Demo(demo::DemoArgs),
    Load(Box<load::CheckedLoadArgs>),
    Replay(replay::ReplayArgs),
}

/// Parses the command line and runs the command.
#[must_use]
pub fn run() -> ExitCode {
    let arguments =
        parse(env::args_os(), |name| env::var_os(name)).unwrap_or_else(|error| error.exit());
    warnings::init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::error(&error);
            return Exit::StartFailed.into();
        }
    };
    runtime.block_on(run_command(arguments.command)).into()
}

/// Parses the command line, and the variables that `lookup` returns. Unlike clap's own `parse`,
/// errors that are found after parsing are reported with the usage of the subcommand instead of
/// that of `baton`.
fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Result<Cli, clap::Error> {
    let mut baton = Cli::command();
    // Sets the usage of the subcommands.
    baton.build();
    let mut arguments = arguments.into_iter().map(Into::into).collect::<Vec<_>>();
    let variables = match baton.find_subcommand_mut(LOAD) {
        Some(load) if arguments.get(1).is_some_and(|name| name == LOAD) => {
            let added = load::Variables::add_to(&mut arguments, load, lookup);
            added.map_err(|error| error.format(load))?
        }
        _ => load::Variables::default(),
    };
    let matches = baton.try_get_matches_from_mut(arguments);
    let mut matches = matches.map_err(|error| variables.explain(error))?;
    let name = matches.subcommand_name().map(str::to_owned);
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| {
        let error = variables.explain(error);
        match name.and_then(|name| baton.find_subcommand_mut(name)) {
            Some(command) => error.format(command),
            None => error.format(&mut baton),
        }
    })
}

async fn run_command(command: CliCommand) -> Exit {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            terminal::error(&error);
            return Exit::StartFailed;
        }
    };
    match command {
        CliCommand::Up(arguments) => up::run(*arguments, &mut signals).await,
        CliCommand::Demo(arguments) => demo::run(arguments, &mut signals).await,
        CliCommand::Load(arguments) => load::run(*arguments, &mut signals).await,
        CliCommand::Replay(arguments) => replay::run(arguments, &mut signals).await,
    }
}

#[cfg(test)]
mod tests;
