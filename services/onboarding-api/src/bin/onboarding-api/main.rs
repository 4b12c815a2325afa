//! The process of the onboarding API. The documentation of the library lists its configuration.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use baton_producer::QueueSender;
use baton_telemetry::{ServiceInfo, Telemetry};
use clap::Parser as _;
use mimalloc::MiMalloc;
use onboarding_api::DrainOutcome;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tracing::{error, info, warn};

use self::config::Arguments;

mod aws;
mod config;
mod descriptors;
mod health;
#[cfg(feature = "profiling")]
mod profiling;

/// The allocator mimalloc, with which a request takes about 10 % less CPU time than with glibc's.
/// Most of a request's memory is freed on a different thread from the one that allocated it, and
/// glibc takes a lock for that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SERVICE: ServiceInfo = ServiceInfo {
    name: "onboarding-api",
    version: Some(env!("CARGO_PKG_VERSION")),
};

/// Instrumentation scope of the spans and metrics. Queries may select by it, so it has not changed
/// since the service was part of `baton-producer`.
const SCOPE: &str = "baton.producer";

/// Time limit for the last export, after the last request. With the default grace period and
/// `SHUTDOWN_TIMEOUT`, the process exits within the 30 s that ECS gives a container.
const TELEMETRY_SHUTDOWN: Duration = Duration::from_secs(3);

/// `EX_CONFIG` of `sysexits.h`: a restart without a change will fail again.
const EXIT_INVALID_CONFIGURATION: u8 = 78;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a health check has no log")]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return print_usage(&error),
    };
    match arguments.health_check() {
        Some(Ok(endpoint)) => endpoint.check().await,
        Some(Err(invalid)) => {
            eprintln!("{invalid}");
            ExitCode::from(EXIT_INVALID_CONFIGURATION)
        }
        None => serve_with_telemetry(arguments).await,
    }
}

async fn serve_with_telemetry(arguments: Arguments) -> ExitCode {
    let telemetry = Telemetry::builder(SERVICE);
    #[cfg(feature = "secrets")]
    let telemetry = telemetry.header_source(baton_secrets::open);
    let telemetry = telemetry.init().await;
    telemetry.export_in_background();
    let aws = aws::load().await;
    let code = match arguments.parse_values(aws.region().map(AsRef::as_ref)) {
        Ok(config) => match serve(config, &aws, &telemetry).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                error!(error = &error as &dyn Error, "onboarding-api failed");
                ExitCode::FAILURE
            }
        },
        Err(invalid) => {
            for setting in invalid {
                error!(variable = setting.variable(), error = %setting, "invalid configuration");
            }
            ExitCode::from(EXIT_INVALID_CONFIGURATION)
        }
    };
    telemetry
        .shutdown(Instant::now() + TELEMETRY_SHUTDOWN)
        .await;
    code
}

/// Prints the help, the version or an error in the flags.
fn print_usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done if the terminal is gone.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(EXIT_INVALID_CONFIGURATION)
    } else {
        ExitCode::SUCCESS
    }
}

async fn serve(
    config: config::ProcessConfig,
    aws: &aws_config::SdkConfig,
    telemetry: &Telemetry,
) -> Result<(), ServeError> {
    let address = config.listen_addr;
    let create_tracer = || telemetry.tracer(SCOPE, env!("CARGO_PKG_VERSION"));
    let meter = telemetry.meter(SCOPE, env!("CARGO_PKG_VERSION"));
    let sender = QueueSender::builder(aws_sdk_sqs::Client::new(aws), config.queue_url)
        .tracer(create_tracer())
        .meter(&meter);
    // The buffer is full if SQS accepts fewer messages than arrive. A wait would not help: the
    // client may try another instance of the service.
    #[cfg(feature = "gather")]
    let sender = sender
        // Each would be a separate trace, at a low rate one for each request.
        .without_call_spans()
        .delivery_timeout(config.delivery_timeout)
        .when_full(baton_producer::WhenFull::Fail);
    let sender = sender.build();
    let shutdown = shutdown_signal(config.grace_period).map_err(ServeError::Signals)?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Bind { address, source })?;
    let bound = listener
        .local_addr()
        .map_err(|source| ServeError::Bind { address, source })?;
    #[cfg(feature = "profiling")]
    let profiling = profiling::start(config.profiling_addr)
        .await
        .map_err(|(address, source)| ServeError::BindProfiling { address, source })?;
    info!(address = %bound, "listening");
    let drain = onboarding_api::run(
        listener,
        onboarding_api::ServeConfig {
            sender,
            tracer: create_tracer(),
            meter,
            limits: descriptors::adapt(config.limits),
            shutdown_timeout: config.shutdown_timeout,
        },
        shutdown,
    )
    .await;
    #[cfg(feature = "profiling")]
    if let Some(profiling) = profiling {
        profiling.stop().await;
    }
    match drain {
        DrainOutcome::Complete => info!("stopped"),
        DrainOutcome::TimedOut => warn!("stopped with unfinished requests: shutdown timed out"),
    }
    Ok(())
}

/// Returns a future that resolves at a signal, with the length of the grace period. Orchestrators
/// send SIGTERM. Ctrl-C sends SIGINT, for which there is no load balancer to wait for.
fn shutdown_signal(grace_period: Duration) -> io::Result<impl Future<Output = Duration>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => grace_period,
            _ = interrupt.recv() => Duration::ZERO,
        }
    })
}

/// An error that stops a process whose configuration is valid.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("cannot listen on {address}")]
    Bind {
        address: std::net::SocketAddr,
        source: io::Error,
    },
    #[cfg(feature = "profiling")]
    #[error("cannot serve CPU profiles on {address}")]
    BindProfiling {
        address: std::net::SocketAddr,
        source: io::Error,
    },
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
}
