//! Runs one function under the fake Lambda and the fake collector, and prints what its process cost
//! as one line of JSON.
//!
//! The process is measured, and nothing else: its processor time and memory as the kernel counts
//! them, and times between what it reads and what it writes. `bench/README.md` says what the fields
//! mean.

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
