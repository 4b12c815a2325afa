//! Measures the sending side of Baton.
//!
//! `sender sqs` is a fake SQS that responds after a given time and counts the messages.
//! `sender library` sends messages to it with `baton-sqs`, and prints the measurements as one line
//! of JSON.

use std::error::Error;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

mod fake_sqs;
mod library;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Serve a fake SQS on a free port of 127.0.0.1, and print its address
    Sqs {
        /// Milliseconds before each response
        #[arg(long, default_value_t = 0)]
        delay_ms: u64,
        /// Port; 0 for a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Send messages to a fake SQS, and print a line of JSON
    Library(library::LibraryOptions),
}

/// The way in which messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Gathering {
    /// `QueueSender`, which gathers concurrent sends.
    On,
    /// `QueueClient`, which makes a call for each message.
    Off,
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match Cli::parse().command {
        BenchCommand::Sqs { delay_ms, port } => {
            runtime.block_on(fake_sqs::serve(port, Duration::from_millis(delay_ms)))?;
        }
        BenchCommand::Library(options) => {
            println!("{}", runtime.block_on(library::measure(options))?);
        }
    }
    Ok(())
}
