//! `baton up`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;
use clap::Args;
use clap::error::ErrorKind;
use serde::Serialize;

use super::exit::{EXIT_CODES_HELP, Exit};
use super::options::{Binaries, CheckedStackOptions, ListenOptions};
use super::signals::Signals;
use super::terminal::{self, Progress, print_line};
use super::{binaries, logs};
use crate::environment::Phase;
use crate::stack::{Endpoints, FunctionWatcher, SqsEndpoint, Stack, StackError};

/// Style of headings.
const HEADING: Style = Style::new().bold();
/// Style of secondary information.
const DIMMED: Style = Style::new().dimmed();

/// Options that have no effect with `--sqs-only`. They are listed one by one because a conflict
/// with one of clap's groups would report the whole group.
const NOT_FOR_SQS_ONLY: [&str; 20] = [
    "logs",
    "function",
    "producer",
    "no_producer",
    "producer_port",
    "otlp_http_port",
    "otlp_grpc_port",
    "metrics_address",
    "batch_size",
    "batching_window",
    "concurrency",
    "function_timeout",
    "visibility_timeout",
    "max_receive_count",
    "idle_after",
    "no_freeze",
    "queue",
    "env",
    "env_file",
    "faults",
];

/// Start the stack, print its endpoints, and run until Ctrl-C
///
/// Starts the SQS endpoint, a queue and its dead-letter queue, the OTLP receiver, and the function
/// with its event source mapping. The onboarding function also gets its producer. Then prints the
/// endpoints and the variables to export. Ctrl-C and SIGTERM stop everything and leave no process
/// behind.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES_HELP)]
pub(super) struct UpArgs {
    /// Print one line of JSON when the stack is ready: {"sqs": URL, "queue_url": URL,
    /// "dead_letter_queue_url": URL, "producer": URL or null, "otlp_http": URL, "otlp_grpc": URL,
    /// "metrics": URL, "variables": {NAME: VALUE}}. The variables are those to export in a shell.
    /// With --sqs-only, everything but "sqs", "metrics" and "variables" is null
    #[arg(long)]
    json: bool,
    /// Start only the SQS endpoint, without queues
    #[arg(long, conflicts_with_all = NOT_FOR_SQS_ONLY)]
    sqs_only: bool,
    /// Print the logs of the function and the producer to standard error. Without it, only the
    /// warnings and errors that they log as JSON while they start are printed
    #[arg(long)]
    logs: bool,
    #[command(flatten)]
    binaries: Binaries,
    #[command(flatten)]
    ports: ListenOptions,
    #[command(flatten)]
    settings: CheckedStackOptions,
}

/// Command line that sends a message with the printed variables. It works with any AWS CLI that
/// speaks SQS's JSON protocol. Version 1 ignores `AWS_ENDPOINT_URL_SQS`, so the endpoint is an
/// option.
const SEND_WITH_CLI: &str = r#"aws sqs send-message --endpoint-url $AWS_ENDPOINT_URL_SQS --queue-url $QUEUE_URL --message-body '{"id":"1"}'"#;

/// Example that is printed when the stack is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suggestion {
    /// A request to the producer, whose message the function understands.
    Onboarding,
    /// A message with the user's own body, because only the user knows the messages of the
    /// function.
    Message,
}

impl Suggestion {
    fn new(binaries: &Binaries) -> Self {
        if binaries.is_onboarding() && binaries.has_onboarding_api() {
            Self::Onboarding
        } else {
            Self::Message
        }
    }
}

/// Runs the stack until a signal arrives or a part of it stops.
pub(super) async fn run(arguments: UpArgs, signals: &mut Signals) -> Exit {
    if arguments.sqs_only {
        return sqs_only(&arguments.ports, arguments.json, signals).await;
    }
    if let Some(error) = unused_option_error(&arguments) {
        error.exit();
    }
    let UpArgs { json, logs, .. } = arguments;
    let suggestion = Suggestion::new(&arguments.binaries);
    let started = tokio::select! {
        started = start(arguments) => started,
        () = signals.recv() => return Exit::Done,
    };
    let (stack, watch) = match started {
        Ok(started) => started,
        Err(exit) => return exit,
    };
    if let Err(error) = print_ready(&stack, json, suggestion) {
        terminal::error(&error);
    }
    if logs {
        logs::follow(&stack);
    } else {
        logs::print_warnings(&stack);
    }
    run_until_stopped(stack, watch, logs, signals).await
}

/// Returns an error for an option that would have no effect.
fn unused_option_error(arguments: &UpArgs) -> Option<clap::Error> {
    let binaries = &arguments.binaries;
    let sentence = if !binaries.is_onboarding() && !arguments.settings.0.faults.is_empty() {
        "--faults works only with the onboarding function: leave out --faults or --function"
    } else if !binaries.has_producer() && arguments.ports.producer_port != 0 {
        "--producer-port requires a producer, which this function does not get by default: pass --producer or leave out --producer-port"
    } else {
        return None;
    };
    Some(clap::Error::raw(
        ErrorKind::ArgumentConflict,
        format!("{sentence}\n"),
    ))
}

async fn start(arguments: UpArgs) -> Result<(Stack, FunctionWatcher), Exit> {
    let mut progress = Progress::new();
    let paths = binaries::find(arguments.binaries, &mut progress).await?;
    progress.begin(if paths.producer.is_some() {
        "starting queue, function, producer and OTLP receiver"
    } else {
        "starting queue, function and OTLP receiver"
    });
    let config = arguments.settings.0.config(paths, &arguments.ports);
    let stack = Stack::start(config).await.map_err(|error| {
        terminal::error(&error);
        Exit::StartFailed
    })?;
    progress.done("everything is ready, and the function has initialised");
    let watch = stack.watch_function();
    Ok((stack, watch))
}

async fn run_until_stopped(
    mut stack: Stack,
    mut watch: FunctionWatcher,
    logs: bool,
    signals: &mut Signals,
) -> Exit {
    let exit = loop {
        tokio::select! {
            () = signals.recv() => break Exit::Done,
            error = stack.wait_for_failure() => {
                terminal::error(&error);
                break Exit::Failed;
            }
            // The queue keeps the failed messages, as on AWS, and the next attempt gets a new
            // environment. With `--logs`, the last lines of the environment were printed already,
            // under its number.
            ended = watch.next() => if logs {
                terminal::error(&ended);
            } else {
                terminal::error(&StackError::Function(ended));
            },
        }
    };
    let environments = stack.lambda().snapshot().environments;
    let message = stopping_message(environments.iter().map(|environment| environment.phase));
    print_line(format_args!("{message}"));
    signals.run_until_signal(stack.stop()).await;
    exit
}

/// Returns the message for the shutdown, which waits for pending invocations.
fn stopping_message(environments: impl IntoIterator<Item = Phase>) -> &'static str {
    let busy = [Phase::Starting, Phase::Running, Phase::Finishing];
    if environments.into_iter().any(|phase| busy.contains(&phase)) {
        "stopping; press Ctrl-C again to stop immediately"
    } else {
        "stopping"
    }
}

async fn sqs_only(ports: &ListenOptions, json: bool, signals: &mut Signals) -> Exit {
    let mut endpoint = match SqsEndpoint::start(ports.sqs_port, &ports.allowed_hosts()).await {
        Ok(endpoint) => endpoint,
        Err(error) => {
            terminal::error(&error);
            return Exit::StartFailed;
        }
    };
    if let Err(error) = print_sqs_ready(&endpoint, json) {
        terminal::error(&error);
    }
    let exit = tokio::select! {
        () = signals.recv() => Exit::Done,
        error = endpoint.wait_for_failure() => {
            terminal::error(&error);
            Exit::Failed
        }
    };
    signals.run_until_signal(endpoint.stop()).await;
    exit
}

/// The output of `--json`.
#[derive(Debug, Default, Serialize)]
struct ReadyLine<'a> {
    sqs: &'a str,
    queue_url: Option<&'a str>,
    dead_letter_queue_url: Option<&'a str>,
    producer: Option<&'a str>,
    otlp_http: Option<&'a str>,
    otlp_grpc: Option<&'a str>,
    metrics: &'a str,
    variables: BTreeMap<String, String>,
}

impl<'a> ReadyLine<'a> {
    fn new(endpoints: &'a Endpoints, variables: Vec<(String, String)>) -> Self {
        Self {
            sqs: &endpoints.sqs,
            queue_url: Some(&endpoints.queue),
            dead_letter_queue_url: Some(&endpoints.dead_letter_queue),
            producer: endpoints.producer.as_deref(),
            otlp_http: Some(&endpoints.otlp_http),
            otlp_grpc: Some(&endpoints.otlp_grpc),
            metrics: &endpoints.metrics,
            variables: variables.into_iter().collect(),
        }
    }
}

fn print_ready(stack: &Stack, json: bool, suggestion: Suggestion) -> io::Result<()> {
    let endpoints = stack.endpoints();
    let mut out = anstream::stdout().lock();
    if json {
        return write_json(
            &mut out,
            &ReadyLine::new(endpoints, stack.shell_variables()),
        );
    }
    writeln!(out, "\n{HEADING}Baton is up{HEADING:#}; Ctrl-C stops it\n")?;
    write_endpoints(&mut out, endpoints)?;
    write_variables(&mut out, &stack.shell_variables())?;
    let read_spans = format!("curl {}/api/spans", endpoints.otlp_http);
    match (suggestion, &endpoints.producer) {
        (Suggestion::Onboarding, Some(producer)) => {
            write_onboarding(&mut out, producer)?;
            writeln!(out, "  {read_spans}\n")?;
        }
        _ => {
            write_message(&mut out, endpoints)?;
            writeln!(out, "  {read_spans}\n")?;
            writeln!(
                out,
                "  {DIMMED}or with the AWS CLI in the other shell:{DIMMED:#}\n"
            )?;
            writeln!(out, "  {SEND_WITH_CLI}\n")?;
        }
    }
    out.flush()
}

fn write_endpoints(out: &mut impl Write, endpoints: &Endpoints) -> io::Result<()> {
    let Endpoints {
        sqs,
        queue,
        dead_letter_queue,
        producer,
        otlp_http,
        otlp_grpc,
        metrics,
    } = endpoints;
    let rows = [
        ("sqs", sqs),
        ("queue", queue),
        ("dead letters", dead_letter_queue),
        ("otlp/http", otlp_http),
        ("otlp/grpc", otlp_grpc),
        ("metrics", metrics),
    ];
    let producer = producer.iter().map(|url| ("producer", url));
    producer
        .chain(rows)
        .try_for_each(|(name, url)| write_row(out, name, url))
}

fn write_row(out: &mut impl Write, name: &str, url: &str) -> io::Result<()> {
    writeln!(out, "  {DIMMED}{name:<14}{DIMMED:#}{url}")
}

fn write_onboarding(out: &mut impl Write, producer: &str) -> io::Result<()> {
    writeln!(
        out,
        "\n{HEADING}Send an onboarding, then read its spans{HEADING:#}\n"
    )?;
    writeln!(out, "  curl {producer}/onboarding \\")?;
    writeln!(out, "    -H 'content-type: application/json' \\")?;
    writeln!(
        out,
        "    -d '{{\"customer_id\":\"c-1\",\"email\":\"c@example.com\",\"plan\":\"starter\"}}'"
    )
}

/// Uses curl and SQS's JSON protocol: curl is installed nearly everywhere, and the endpoint does
/// not check signatures.
fn write_message(out: &mut impl Write, endpoints: &Endpoints) -> io::Result<()> {
    let Endpoints { sqs, queue, .. } = endpoints;
    writeln!(
        out,
        "\n{HEADING}Send your own message, then read its spans{HEADING:#}\n"
    )?;
    writeln!(out, "  curl {sqs} \\")?;
    writeln!(out, "    -H 'content-type: application/x-amz-json-1.0' \\")?;
    writeln!(out, "    -H 'x-amz-target: AmazonSQS.SendMessage' \\")?;
    writeln!(
        out,
        "    -d '{{\"QueueUrl\":\"{queue}\",\"MessageBody\":\"{{\\\"id\\\":\\\"1\\\"}}\"}}'"
    )
}

fn print_sqs_ready(endpoint: &SqsEndpoint, json: bool) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    if json {
        return write_json(
            &mut out,
            &ReadyLine {
                sqs: endpoint.url(),
                metrics: endpoint.metrics_url(),
                variables: endpoint.shell_variables().into_iter().collect(),
                ..ReadyLine::default()
            },
        );
    }
    writeln!(
        out,
        "\n{HEADING}The SQS endpoint is up{HEADING:#}; Ctrl-C stops it\n"
    )?;
    write_row(&mut out, "sqs", endpoint.url())?;
    write_row(&mut out, "metrics", endpoint.metrics_url())?;
    write_variables(&mut out, &endpoint.shell_variables())?;
    writeln!(out)?;
    out.flush()
}

fn write_json(out: &mut impl Write, ready: &ReadyLine<'_>) -> io::Result<()> {
    writeln!(out, "{}", serde_json::to_string(ready)?)?;
    out.flush()
}

fn write_variables(out: &mut impl Write, variables: &[(String, String)]) -> io::Result<()> {
    writeln!(out, "\n{HEADING}Export in another shell{HEADING:#}\n")?;
    variables
        .iter()
        .try_for_each(|(name, value)| writeln!(out, "  export {name}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_line_has_every_key_even_for_sqs_alone() {
        let mut line = Vec::new();
        write_json(
            &mut line,
            &ReadyLine {
                sqs: "http://127.0.0.1:1",
                metrics: "http://127.0.0.1:1/metrics",
                variables: [("AWS_DEFAULT_REGION".to_owned(), "us-east-1".to_owned())].into(),
                ..ReadyLine::default()
            },
        )
        .unwrap();
        let expected = r#"{"sqs":"http://127.0.0.1:1","queue_url":null,"dead_letter_queue_url":null,"producer":null,"otlp_http":null,"otlp_grpc":null,"metrics":"http://127.0.0.1:1/metrics","variables":{"AWS_DEFAULT_REGION":"us-east-1"}}"#;
        assert_eq!(String::from_utf8(line).unwrap(), format!("{expected}\n"));
    }

    #[test]
    fn the_example_fits_the_function_and_the_producer() {
        let suggestion = |function: Option<&str>, producer: Option<&str>, no_producer| {
            let binaries = Binaries {
                function: function.map(Into::into),
                producer: producer.map(Into::into),
                no_producer,
            };
            Suggestion::new(&binaries)
        };
        for (function, producer) in [
            (None, None),
            (Some("demo/onboarding-lambda"), None),
            (None, Some("demo/onboarding-api")),
        ] {
            assert_eq!(
                suggestion(function, producer, false),
                Suggestion::Onboarding
            );
        }
        for (function, producer, no_producer) in [
            (None, None, true),
            (None, Some("orders-api"), false),
            (Some("orders"), None, false),
            (Some("orders"), Some("onboarding-api"), false),
        ] {
            assert_eq!(
                suggestion(function, producer, no_producer),
                Suggestion::Message
            );
        }
    }

    #[test]
    fn the_message_names_ctrl_c_when_stopping_may_take_long() {
        assert_eq!(
            stopping_message([Phase::Idle, Phase::Terminating]),
            "stopping"
        );
        for phase in [Phase::Starting, Phase::Running, Phase::Finishing] {
            assert_eq!(
                stopping_message([Phase::Idle, phase]),
                "stopping; press Ctrl-C again to stop immediately"
            );
        }
    }
}
