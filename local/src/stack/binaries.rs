//! Builds the function and the producer in one call of cargo, so that their common dependencies are
//! compiled once.
//!
//! `cargo baton` builds `baton` itself in the same profile and, like the call here, with the
//! features of the whole workspace. Most dependencies are therefore compiled already: 20 crates are
//! left, whereas selecting packages would compile 90 crates a second time.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::{env, fs, io};

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

use crate::process_group::ProcessGroup;

/// Cargo profile of the build, the same as that of the alias `cargo baton`: slightly optimised,
/// without the minutes that the deployed profile takes.
const PROFILE: &str = "demo";

/// Prefixes of the variables by which `cargo run` describes a package to its program. The build
/// must not see them: ring's build script would run again because of them, here and in the next
/// `cargo baton`, and all dependent crates would be compiled again.
const PACKAGE_VARIABLES: [&str; 2] = ["CARGO_MANIFEST_", "CARGO_PKG_"];

/// File name of a function with a custom runtime.
const BOOTSTRAP: &str = "bootstrap";

/// A binary of this workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binary(&'static str);

impl Binary {
    /// Returns the name of the file, without an extension.
    pub(crate) fn name(self) -> &'static str {
        self.0
    }
}

/// Returns the name of a program: its file name without the extension. The file of a custom runtime
/// must be called `bootstrap` (Lambda developer guide, "Building a custom runtime"), so for it the
/// name of the folder is returned: `cargo lambda build` writes `target/lambda/NAME/bootstrap`.
pub(crate) fn program_name(binary: &Path) -> Cow<'_, str> {
    // A path without a file name is a folder, which cannot be started anyway.
    let stem = binary.file_stem().unwrap_or_default();
    let folder = binary.parent().and_then(Path::file_name);
    let name = if stem == BOOTSTRAP {
        folder.unwrap_or(stem)
    } else {
        stem
    };
    name.to_string_lossy()
}

/// The onboarding function.
pub const FUNCTION: Binary = Binary("onboarding-lambda");
/// The onboarding API.
pub const PRODUCER: Binary = Binary("onboarding-api");

/// Error in building the binaries. The compiler has reported its own errors on standard error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Cargo cannot be run.
    #[error("cannot run {}: install Rust from https://rustup.rs, or {alternative}", cargo.display())]
    Cargo {
        /// Path of cargo.
        cargo: PathBuf,
        /// Error of the operating system.
        source: io::Error,
        /// Options that make the build unnecessary.
        alternative: &'static str,
    },
    /// The current folder is not in a checkout of Baton.
    #[error(
        "cannot build {names}: {} is not in a checkout of Baton; run the command in a checkout, or {alternative}", folder.display()
    )]
    NoCheckout {
        /// Names of the binaries to build.
        names: String,
        /// The current folder.
        folder: PathBuf,
        /// Options that make the build unnecessary.
        alternative: &'static str,
    },
    /// Cargo failed.
    #[error("cargo could not build {names} ({status})")]
    Failed {
        /// Names of the binaries to build.
        names: String,
        /// Exit status of cargo.
        status: ExitStatus,
    },
    /// The output of cargo could not be read.
    #[error("cannot read the output of cargo")]
    Output(#[source] io::Error),
    /// Cargo succeeded but reported no executable.
    #[error("cargo built {name} but did not report its path")]
    Missing {
        /// Name of the binary.
        name: &'static str,
    },
}

/// Builds `binaries` with `cargo` in the current folder and returns their paths, in the same order.
/// Cargo reports its progress on standard error.
///
/// If the returned future is dropped, cargo and its compilers are stopped.
///
/// # Errors
///
/// Fails if cargo is missing, is not run in the workspace, or finds errors in the code.
pub async fn build<const N: usize>(
    cargo: OsString,
    binaries: [Binary; N],
) -> Result<[PathBuf; N], BuildError> {
    if N == 0 {
        return Ok([(); N].map(|()| PathBuf::new()));
    }
    check_checkout(&binaries)?;
    let names = join_names(&binaries);
    let alternative = alternative(&binaries);
    let mut command = command(&cargo, &binaries);
    // Cargo gets a process group, because its compilers would outlive it if it were killed alone.
    let mut running = ProcessGroup::spawn(&mut command).map_err(|source| BuildError::Cargo {
        cargo: cargo.into(),
        source,
        alternative,
    })?;
    let built = match running.stdout() {
        Some(output) => executables(output).await.map_err(BuildError::Output)?,
        None => Vec::new(),
    };
    let status = running.wait().await.map_err(BuildError::Output)?;
    if !status.success() {
        return Err(BuildError::Failed { names, status });
    }
    locate(&binaries, &built)
}

/// Checks that cargo would build in Baton's workspace, without building anything.
pub(crate) fn check_checkout(binaries: &[Binary]) -> Result<(), BuildError> {
    let folder = env::current_dir().unwrap_or_default();
    if is_checkout(&folder) {
        return Ok(());
    }
    Err(BuildError::NoCheckout {
        names: join_names(binaries),
        folder,
        alternative: alternative(binaries),
    })
}

fn join_names(binaries: &[Binary]) -> String {
    let names: Vec<&str> = binaries.iter().map(|binary| binary.0).collect();
    names.join(" and ")
}

/// Returns the options that make the build unnecessary.
fn alternative(binaries: &[Binary]) -> &'static str {
    if binaries.contains(&FUNCTION) {
        "pass a binary that speaks the Lambda Runtime API with --function"
    } else {
        "pass a binary with --producer, or start the function alone with `baton up --no-producer`"
    }
}

/// Returns true if cargo would build in Baton's workspace. Cargo searches the folder and its
/// parents for a manifest, and only Baton's manifest has the profile.
fn is_checkout(folder: &Path) -> bool {
    let profile = format!("[profile.{PROFILE}]");
    folder.ancestors().any(|folder| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line.trim() == profile) && folder.join("services").is_dir()
    })
}

fn command(cargo: &OsStr, binaries: &[Binary]) -> Command {
    let mut command = Command::new(cargo);
    command.args(["build", "--profile", PROFILE, "--workspace"]);
    command.arg("--message-format=json-render-diagnostics");
    for binary in binaries {
        command.args(["--bin", binary.0]);
    }
    for (name, _) in env::vars_os().filter(|(name, _)| is_package_variable(name)) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

fn is_package_variable(variable: &OsStr) -> bool {
    PACKAGE_VARIABLES
        .iter()
        .any(|prefix| variable.as_encoded_bytes().starts_with(prefix.as_bytes()))
}

/// The fields of cargo's messages that are needed here.
#[derive(Deserialize)]
struct CargoMessage {
    target: Option<CargoTarget>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct CargoTarget {
    name: String,
}

async fn executables(output: impl AsyncRead + Unpin) -> io::Result<Vec<(String, PathBuf)>> {
    let mut lines = BufReader::new(output).lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next_line().await? {
        // Other messages, and the output of build scripts, are ignored.
        if let Ok(CargoMessage {
            target: Some(target),
            executable: Some(path),
        }) = serde_json::from_str(&line)
        {
            found.push((target.name, path));
        }
    }
    Ok(found)
}

fn locate<const N: usize>(
    binaries: &[Binary; N],
    built: &[(String, PathBuf)],
) -> Result<[PathBuf; N], BuildError> {
    let mut paths = [(); N].map(|()| PathBuf::new());
    for (path, binary) in paths.iter_mut().zip(binaries) {
        let found = built.iter().find(|(name, _)| name == binary.0);
        *path = found
            .ok_or(BuildError::Missing { name: binary.0 })?
            .1
            .clone();
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARGO_OUTPUT: &str = r#"{"reason":"compiler-artifact","target":{"name":"bytes"},"executable":null}
not json
{"reason":"compiler-artifact","target":{"name":"onboarding-api"},"executable":"/t/demo/onboarding-api"}
{"reason":"compiler-artifact","target":{"name":"onboarding-lambda"},"executable":"/t/demo/onboarding-lambda"}
{"reason":"build-finished","success":true}
"#;

    #[tokio::test]
    async fn executables_are_found_in_the_output_of_cargo() {
        let built = executables(CARGO_OUTPUT.as_bytes()).await.unwrap();
        let paths = locate(&[FUNCTION, PRODUCER], &built).unwrap();
        assert_eq!(
            paths,
            ["/t/demo/onboarding-lambda", "/t/demo/onboarding-api"].map(PathBuf::from)
        );
        assert!(matches!(
            locate(&[FUNCTION], &[]),
            Err(BuildError::Missing {
                name: "onboarding-lambda"
            })
        ));
    }

    #[test]
    fn cargo_does_not_get_the_variables_of_the_calling_package() {
        // Cargo sets them for the test, as it does in `cargo baton`.
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
            assert!(env::var_os(name).is_some(), "{name}");
            let command = command("cargo".as_ref(), &[FUNCTION]);
            let removed = command
                .as_std()
                .get_envs()
                .any(|variable| variable == (name.as_ref(), None));
            assert!(removed, "{name}");
        }
        assert!(!is_package_variable("CARGO_HOME".as_ref()));
    }

    #[tokio::test]
    async fn a_missing_cargo_is_reported() {
        let error = build("no-such-cargo".into(), [FUNCTION]).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot run no-such-cargo: install Rust"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_failed_build_is_reported_with_the_names_of_the_binaries() {
        let error = build("false".into(), [FUNCTION, PRODUCER])
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("onboarding-lambda and onboarding-api (exit status: 1)"),
            "{error}"
        );
    }
}
