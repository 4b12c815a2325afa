//! The three binaries and the examples. Cargo passes the paths of binaries only within a package,
//! so they are built here, once and with the profile of the tests.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;

/// Package and name of each binary.
const BATON: (&str, &str) = ("baton-local", "baton");
const FUNCTION: (&str, &str) = ("onboarding-lambda", "onboarding-lambda");
const PRODUCER: (&str, &str) = ("onboarding-api", "onboarding-api");

/// Prefixes of the variables in which cargo describes a package.
const PACKAGE_VARIABLES: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

static BUILT: OnceLock<Binaries> = OnceLock::new();

#[derive(Debug)]
pub(crate) struct Binaries {
    pub(crate) baton: PathBuf,
    pub(crate) function: PathBuf,
    pub(crate) producer: PathBuf,
}

impl Binaries {
    /// Returns the binaries. The first call builds them while others wait.
    pub(crate) fn get() -> &'static Self {
        BUILT.get_or_init(build)
    }
}

/// A line of cargo's `--message-format=json`.
#[derive(Debug, Deserialize)]
struct CargoMessage {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
}

fn build() -> Binaries {
    let wanted = [BATON, FUNCTION, PRODUCER];
    let mut cargo = cargo_build();
    for (package, binary) in wanted {
        cargo.args(["--package", package, "--bin", binary]);
    }
    let messages = run(cargo);
    let [baton, function, producer] = wanted.map(|(_, name)| executable(&messages, name));
    Binaries {
        baton,
        function,
        producer,
    }
}

/// Returns the path of an example. The examples are built in a call of their own, because cargo
/// would enable their features in the other binaries too.
pub(crate) fn example(name: &str) -> &'static Path {
    static EXAMPLES: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    let examples = EXAMPLES.get_or_init(|| {
        let mut cargo = cargo_build();
        cargo.args(["--package", "baton-examples", "--bins", "--all-features"]);
        let built = run(cargo).into_iter();
        built
            .filter_map(|message| Some((message.target?.name, message.executable?)))
            .collect()
    });
    &examples[name]
}

fn run(mut cargo: Command) -> Vec<CargoMessage> {
    let output = cargo.output().expect("cargo can be started");
    assert!(
        output.status.success(),
        "cargo built the binaries: {}",
        output.status
    );
    serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

fn cargo_build() -> Command {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Build scripts depend on these variables. Those of this package would run them again and
    // recompile every dependent, here and once more in the next `cargo test`.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| {
            PACKAGE_VARIABLES
                .iter()
                .any(|prefix| name.starts_with(prefix))
        }) {
            cargo.env_remove(name);
        }
    }
    cargo
        .args([
            "build",
            "--message-format=json",
            "--profile",
            &profile(),
            "--target-dir",
        ])
        .arg(target_dir());
    cargo
        .current_dir(workspace)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    cargo
}

fn executable(messages: &[CargoMessage], name: &str) -> PathBuf {
    let built = messages.iter().filter(|message| {
        message
            .target
            .as_ref()
            .is_some_and(|target| target.name == name)
    });
    let mut paths = built.filter_map(|message| message.executable.clone());
    paths.next().unwrap_or_else(|| panic!("cargo built {name}"))
}

/// Returns the target directory, in which cargo has a folder for this test.
fn target_dir() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

/// Returns the profile of the tests: the name of their folder, except that `dev` has `debug`.
fn profile() -> String {
    let test = std::env::current_exe().unwrap();
    let folder = test
        .ancestors()
        .nth(2)
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap();
    if folder == "debug" {
        "dev".to_owned()
    } else {
        folder.to_owned()
    }
}
