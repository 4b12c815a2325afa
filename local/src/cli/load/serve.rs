//! `baton load --serve`.

use std::env;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use anstyle::Style;
use clap::error::ErrorKind;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::arguments::LoadArgs;
use super::output::print_summary;
use crate::cli::exit::Exit;
use crate::cli::signals::Signals;
use crate::cli::terminal::{self, print_line};
use crate::load::{ApiConfig, InvalidToken, LoadReport, Token, serve};

/// Variable with the token. It is not an option, because other users can see command lines.
const TOKEN: &str = "BATON_LOAD_TOKEN";

const HEADING: Style = Style::new().bold();

/// Error in starting the server.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("--serve needs --url")]
    Url,
    #[error("cannot listen on {address} for --serve")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("the server failed")]
    Server(#[source] io::Error),
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

/// Error in the variable with the token.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("--serve needs a token of at least 16 characters in the variable {TOKEN}")]
    Missing,
    #[error("{TOKEN} is not UTF-8")]
    NotUnicode,
    #[error("{TOKEN}: {0}")]
    Invalid(#[from] InvalidToken),
}

/// Serves requests for runs until a signal arrives.
pub(super) async fn run(arguments: LoadArgs, address: SocketAddr, signals: &mut Signals) -> Exit {
    let token = read_token().unwrap_or_else(|error| {
        let tip = format!("{error}\n\n  tip: {TOKEN}=$(openssl rand -hex 32) creates one\n");
        clap::Error::raw(ErrorKind::ValueValidation, tip).exit()
    });
    match run_server(arguments, address, token, signals).await {
        Ok(exit) => exit,
        Err(error) => {
            terminal::error(&error);
            match error {
                ServeError::Url | ServeError::Listen { .. } => Exit::StartFailed,
                ServeError::Server(_) | ServeError::Output(_) => Exit::Failed,
            }
        }
    }
}

fn read_token() -> Result<Token, TokenError> {
    let token = match env::var(TOKEN) {
        Ok(token) if token.is_empty() => return Err(TokenError::Missing),
        Ok(token) => token,
        Err(env::VarError::NotPresent) => return Err(TokenError::Missing),
        Err(env::VarError::NotUnicode(_)) => return Err(TokenError::NotUnicode),
    };
    Ok(Token::new(token)?)
}

async fn run_server(
    arguments: LoadArgs,
    address: SocketAddr,
    token: Token,
    signals: &mut Signals,
) -> Result<Exit, ServeError> {
    let config = ApiConfig {
        token,
        max_outstanding: arguments.max_outstanding(),
        url: arguments.url.ok_or(ServeError::Url)?,
        headers: arguments.header,
        authorities: arguments.ca_certificate,
        request_timeout: arguments.timeout,
        profile: arguments.profile.into(),
        faults_enabled: arguments.faults_enabled,
        spans: arguments.spans,
        log: print_line,
    };
    let target = config.url.uri().to_string();
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| ServeError::Listen { address, source })?;
    let bound = listener.local_addr().map_err(ServeError::Server)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = serve(listener, config, async {
        // An error means that this function has returned.
        let _ = stopped.await;
    });
    let mut server = pin!(server);
    print_ready(bound, &target).map_err(ServeError::Output)?;
    tokio::select! {
        ended = &mut server => return print_report(ended),
        () = signals.recv() => {}
    }
    print_line(format_args!(
        "stopping after the outstanding responses; press Ctrl-C again to stop immediately"
    ));
    // An error means that the server has ended.
    let _ = stop.send(());
    tokio::select! {
        ended = &mut server => print_report(ended),
        () = signals.recv() => Ok(Exit::Interrupted),
    }
}

fn print_ready(address: SocketAddr, target: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(
        out,
        "{HEADING}Load server at http://{address}{HEADING:#} for {target}; Ctrl-C stops it\n"
    )?;
    writeln!(out, "  curl http://{address}/admin/generate-traffic \\")?;
    writeln!(out, "    -H \"authorization: Bearer ${TOKEN}\" \\")?;
    writeln!(out, "    -H 'content-type: application/json' \\")?;
    writeln!(
        out,
        "    -d '{{\"duration_seconds\": 60, \"requests_per_minute\": 120}}'\n"
    )?;
    out.flush()
}

/// Prints the report of the run that the end of the server has stopped, if any.
fn print_report(ended: io::Result<Option<Arc<LoadReport>>>) -> Result<Exit, ServeError> {
    if let Some(report) = ended.map_err(ServeError::Server)? {
        print_summary(anstream::stdout().lock(), &report).map_err(ServeError::Output)?;
    }
    Ok(Exit::Done)
}
