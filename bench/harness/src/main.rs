//! Runs one function under the fake Lambda and a test collector, and prints the costs of its
//! process as one line of JSON.
//!
//! Only the process is measured: its processor time and memory by the kernel's counters, and the
//! time between its reads and writes. `bench/README.md` describes the fields.

use std::process::ExitCode;

use self::options::Options;

mod condition;
mod options;
mod orders;
mod procfs;
mod replay;
mod run;
mod soak;
mod spans;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match measure().await {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("harness: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<serde_json::Value, Box<dyn std::error::Error>> {
    let options = Options::parse(std::env::args().skip(1))?;
    match options.soak {
        Some(count) => soak::run(&options, count).await,
        None => run::run(&options).await,
    }
}
