//! Arguments of `baton load`, and their conversion to the configuration of a run.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches, ValueEnum};
use http::{HeaderName, HeaderValue, Uri};

use super::variables::with_variable_in_help;
use crate::cli::duration;
use crate::cli::exit::EXIT_CODES_HELP;
use crate::cli::options::{BINARIES, with_inline_default};
use crate::load::{
    Authorities, Pace, Profile, Schedule, Shares, TargetUrl, interval_length, parse_header,
};

/// Default rate in requests per second: far below what a laptop can do.
const DEFAULT_RATE: f64 = 50.0;
/// Maximum rate: more than the generator's thread can send.
const MAX_RATE: f64 = 1_000_000.0;
/// Default number of outstanding requests in an open loop.
const DEFAULT_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
/// Maximum number of connections: more than file descriptors and ports allow on one machine.
const MAX_CONNECTIONS: usize = 50_000;
/// Default duration.
const DEFAULT_DURATION: Duration = Duration::from_secs(30);
/// Default duration of a soak: long enough for leaks of usual size to show.
const DEFAULT_SOAK: Duration = Duration::from_secs(30 * 60);

const EXAMPLES: &str = "\
Examples:
  baton load --rate 100 --duration 1m
      start a local stack, send 100 requests per second to it, and check that
      every message arrives
  baton load --profile blackfriday --json report.json
      the same with bursts and failures, and a report as JSON
  baton load --url https://api.example/onboarding --concurrency 20
      send to any URL, over 20 connections
  baton load --url http://127.0.0.1:8080/onboarding --queue-url $QUEUE_URL
      send to a running `baton up`, and check its queue
  BATON_LOAD_TOKEN=... baton load --serve --url http://127.0.0.1:8080/onboarding
      wait for POST /admin/generate-traffic, and send what it asks for

";

/// Send load to the producer, and check that every message arrives
///
/// Starts the local stack, or uses the service at --url, and sends POST requests with onboardings
/// of different customers. Then waits until every accepted message was processed or dead-lettered,
/// and reports counts, errors and latencies.
///
/// With --rate (open loop) requests start on a schedule, even if earlier ones have no response yet.
/// Latencies count from the scheduled start, so that a stall of the service affects all requests
/// that were due during it (no coordinated omission). With --concurrency (closed loop) each
/// connection waits for a response before its next request. A stall then affects one request per
/// connection, unless --expected-interval corrects the latencies.
///
/// The load passes if no request failed and no accepted message is missing. Invalid customers are
/// expected to be rejected with 422.
///
/// The variables in brackets set options as well. An empty variable counts as unset. An option on
/// the command line takes precedence over its variable, and over those of options that it conflicts
/// with.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES_HELP, after_long_help = format!("{EXAMPLES}{EXIT_CODES_HELP}"))]
pub(super) struct LoadArgs {
    /// URL to send to, used as it is given [default: the producer of a local stack that is started
    /// for the load]
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<TargetUrl>,
    /// Header of each request, such as an API key; may be repeated. The variable has one header
    /// per line
    #[arg(long, value_name = "NAME: VALUE", value_parser = parse_header, requires = "url")]
    pub(super) header: Vec<(HeaderName, HeaderValue)>,
    /// PEM file with the certificate authorities to trust instead of Mozilla's
    #[arg(long, value_name = "FILE", value_parser = authorities, requires = "url")]
    pub(super) ca_certificate: Option<Authorities>,
    /// Time limit of a request, including a new connection
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = positive_duration)]
    pub(super) timeout: Duration,
    /// Print or write the report as JSON: a file, or - for standard output, in which case the
    /// summary goes to standard error
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Send a root span for each request over OTLP, with its context in the header traceparent: to
    /// the local stack, or with --url to the collector that OTEL_EXPORTER_OTLP_* names
    #[arg(long)]
    pub(super) spans: bool,
    /// Requests per second in an open loop: the constant rate, the rate at the end of a ramp, or
    /// the one between bursts [default: 50]
    #[arg(long, value_name = "N", value_parser = rate, help_heading = LOAD)]
    rate: Option<f64>,
    /// Maximum number of requests without a response in an open loop; others wait, and their
    /// latency counts from their scheduled start [default: 256]
    #[arg(long, value_name = "N", value_parser = connections, help_heading = LOAD)]
    max_outstanding: Option<NonZeroUsize>,
    /// Number of connections in a closed loop
    #[arg(long, value_name = "N", value_parser = connections, conflicts_with_all = ["rate", "max_outstanding"], help_heading = LOAD)]
    concurrency: Option<NonZeroUsize>,
    /// Interval in which each connection of a closed loop should send a request, if it is known
    #[arg(long, value_name = "TIME", value_parser = positive_duration, requires = "concurrency", conflicts_with = "rate", help_heading = LOAD)]
    expected_interval: Option<Duration>,
    /// Time in which requests are sent [default: 30s; for soak 30m]
    #[arg(long, value_name = "TIME", value_parser = positive_duration, help_heading = LOAD)]
    duration: Option<Duration>,
    /// Shape of the load
    #[arg(long, value_name = "NAME", default_value = "steady", help_heading = LOAD)]
    pub(super) profile: ProfileName,
    /// With blackfriday, also send slow, failing and poison customers to --url. Its function must
    /// have been started with `baton up --faults 'slow=load-slow-*,fail-once=load-failing-*'`. A
    /// local stack that is started for the load has these faults
    #[arg(long, requires = "url", help_heading = LOAD)]
    pub(super) faults_enabled: bool,
    /// URL of the queue that the service at --url sends to. Its length shows whether the accepted
    /// messages have left it. Queues on AWS are read with your AWS configuration
    #[arg(long, value_name = "URL", value_parser = queue_url, requires = "url", help_heading = CHECK)]
    pub(super) queue_url: Option<Uri>,
    /// URL of the dead-letter queue, to count dead-lettered messages. Needs --queue-url or --table
    #[arg(long, value_name = "URL", value_parser = queue_url, requires = "url", help_heading = CHECK)]
    pub(super) dead_letter_queue_url: Option<Uri>,
    /// DynamoDB table of the onboarding function, to count the customers that it has stored. The
    /// whole table is scanned, with your AWS configuration. Needs the feature dynamodb
    #[arg(long, value_name = "NAME", requires = "url", help_heading = CHECK)]
    pub(super) table: Option<String>,
    /// Time without any change of the queues and the table after which the check ends; longer than
    /// the queue's visibility timeout
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = positive_duration, help_heading = CHECK)]
    pub(super) settle_timeout: Duration,
    /// Start no run, but an HTTP server on which POST /admin/generate-traffic starts runs to --url
    /// [default ADDRESS: 127.0.0.1:8081]. Requests need the token in the variable BATON_LOAD_TOKEN,
    /// which has at least 16 characters
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:8081", value_parser = socket_address, requires = "url", conflicts_with_all = ["rate", "concurrency", "expected_interval", "duration", "json", "queue_url", "dead_letter_queue_url", "table", "settle_timeout"], help_heading = SERVER)]
    pub(super) serve: Option<SocketAddr>,
    /// Path of the onboarding function for the local stack
    #[arg(long, value_name = "PATH", conflicts_with = "url", help_heading = BINARIES)]
    pub(super) function: Option<PathBuf>,
    /// Path of the producer for the local stack
    #[arg(long, value_name = "PATH", conflicts_with = "url", help_heading = BINARIES)]
    pub(super) producer: Option<PathBuf>,
}

/// Headings of the options.
const LOAD: &str = "Load (TIME: 500ms, 3s, 2m, or seconds)";
const CHECK: &str = "Check of the accepted messages";
const SERVER: &str = "Load over HTTP";

/// Shape of the load over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProfileName {
    /// a constant rate
    Steady,
    /// a rate that grows from zero
    Ramp,
    /// three bursts of five times the rate; 5 % of the customers are invalid, 2 % slow, 2 % fail
    /// once, 1 % are poison
    #[value(name = "blackfriday")]
    BlackFriday,
    /// a constant rate for a long time; compares the end with the beginning
    Soak,
}

/// Arguments that are valid together.
#[derive(Clone, Debug)]
pub(in crate::cli) struct CheckedLoadArgs(pub(super) LoadArgs);

impl From<ProfileName> for Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Steady => Self::Steady,
            ProfileName::Ramp => Self::Ramp,
            ProfileName::BlackFriday => Self::BlackFriday,
            ProfileName::Soak => Self::Soak,
        }
    }
}

impl LoadArgs {
    /// Returns the rate of an open loop.
    pub(super) fn open_rate(&self) -> Option<f64> {
        match self.concurrency {
            Some(_) => None,
            None => Some(self.rate.unwrap_or(DEFAULT_RATE)),
        }
    }

    pub(super) fn pace(&self) -> Pace {
        match self.concurrency {
            Some(connections) => Pace::Closed {
                connections: connections.get(),
                expected_interval: self.expected_interval,
            },
            None => Pace::Open {
                schedule: Schedule::new(
                    self.profile.into(),
                    self.rate.unwrap_or(DEFAULT_RATE),
                    self.duration(),
                ),
                max_outstanding: self.max_outstanding(),
            },
        }
    }

    pub(super) fn max_outstanding(&self) -> usize {
        self.max_outstanding.unwrap_or(DEFAULT_CONNECTIONS).get()
    }

    pub(super) fn duration(&self) -> Duration {
        let default = if self.profile == ProfileName::Soak {
            DEFAULT_SOAK
        } else {
            DEFAULT_DURATION
        };
        self.duration.unwrap_or(default)
    }

    /// Returns the length of the intervals for which figures are kept.
    pub(super) fn interval(&self) -> Duration {
        interval_length(self.duration())
    }

    pub(super) fn shares(&self) -> Shares {
        Shares::of(self.profile.into(), !self.leaves_out_faults())
    }

    /// Returns true if the function may lack the faults that the profile's customers need.
    pub(super) fn leaves_out_faults(&self) -> bool {
        self.profile == ProfileName::BlackFriday && self.url.is_some() && !self.faults_enabled
    }

    /// Returns the reason why the arguments cannot be used together.
    fn conflict(&self) -> Option<&'static str> {
        // The requests to the server have the profile.
        if self.serve.is_some() {
            return None;
        }
        let has_changing_rate =
            matches!(self.profile, ProfileName::Ramp | ProfileName::BlackFriday);
        if has_changing_rate && self.concurrency.is_some() {
            return Some(
                "--concurrency has no rate that --profile ramp or blackfriday could change: use --rate",
            );
        }
        if self.faults_enabled && self.profile != ProfileName::BlackFriday {
            return Some("--faults-enabled has no effect without --profile blackfriday");
        }
        if self.table.is_some() && !cfg!(feature = "dynamodb") {
            return Some(
                "--table needs the feature dynamodb: cargo install --path local --features dynamodb",
            );
        }
        let has_source = self.queue_url.is_some() || self.table.is_some();
        if self.dead_letter_queue_url.is_some() && !has_source {
            return Some("--dead-letter-queue-url has no effect without --queue-url or --table");
        }
        None
    }
}

impl CheckedLoadArgs {
    fn new(arguments: LoadArgs) -> Result<Self, Error> {
        match arguments.conflict() {
            // Clap adds the usage, and exits with its own exit code.
            Some(conflict) => Err(Error::raw(ErrorKind::ArgumentConflict, conflict)),
            None => Ok(Self(arguments)),
        }
    }
}

impl FromArgMatches for CheckedLoadArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Self::new(LoadArgs::from_arg_matches(matches)?)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        Self::new(LoadArgs::from_arg_matches_mut(matches)?)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        let mut updated = self.0.clone();
        updated.update_from_arg_matches(matches)?;
        *self = Self::new(updated)?;
        Ok(())
    }
}

impl Args for CheckedLoadArgs {
    fn group_id() -> Option<clap::Id> {
        LoadArgs::group_id()
    }

    fn augment_args(command: Command) -> Command {
        LoadArgs::augment_args(command)
            .mut_args(with_inline_default)
            .mut_args(with_variable_in_help)
    }

    fn augment_args_for_update(command: Command) -> Command {
        LoadArgs::augment_args_for_update(command)
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    let rate = rate.filter(|rate: &f64| *rate > 0.0 && *rate <= MAX_RATE);
    rate.ok_or_else(|| {
        format!("expected a number of requests per second above 0, up to {MAX_RATE}")
    })
}

fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:8081")
}

fn connections(text: &str) -> Result<NonZeroUsize, String> {
    let connections = text.parse().ok();
    let connections = connections.filter(|number: &NonZeroUsize| number.get() <= MAX_CONNECTIONS);
    connections.ok_or_else(|| format!("expected a number from 1 to {MAX_CONNECTIONS}"))
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration = duration::parse(text).map_err(|error| error.to_string())?;
    if duration.is_zero() {
        return Err("expected more than 0s".to_owned());
    }
    Ok(duration)
}

fn authorities(path: &str) -> Result<Authorities, String> {
    Authorities::read(Path::new(path)).map_err(|error| error.to_string())
}

fn queue_url(text: &str) -> Result<Uri, &'static str> {
    let url = text.parse::<Uri>().ok();
    let url = url.filter(|url| matches!(url.scheme_str(), Some("http" | "https")));
    url.ok_or(
        "expected the URL of a queue, such as https://sqs.eu-west-1.amazonaws.com/ACCOUNT/NAME",
    )
}
