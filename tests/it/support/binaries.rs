//! The three binaries, and the examples. Cargo does not hand binaries across packages, so they are
//! built here: once, and as the tests themselves were.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;

/// Package and name of each.
const BATON: (&str, &str) = ("baton-local", "baton");
const FUNCTION: (&str, &str) = ("onboarding-lambda", "onboarding-lambda");
const PRODUCER: (&str, &str) = ("onboarding-api", "onboarding-api");

/// Beginnings of the variables with which cargo tells a program about its package.
const PACKAGE_VARIABLES: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

static BUILT: OnceLock<Binaries> = OnceLock::new();

#[derive(Debug)]
pub(crate) struct Binaries {
    pub(crate) baton: PathBuf,
    pub(crate) function: PathBuf,
    pub(crate) producer: PathBuf,
}

impl Binaries {
    /// The binaries, built by whoever asks first. The others wait.
    pub(crate) fn get() -> &'static Self {
        BUILT.get_or_init(build)
    }
}

/// One line of cargo's `--message-format=json`, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Message {
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

/// The examples, by name. They are built by themselves: together with others, their features would
/// be everybody's.
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

fn run(mut cargo: Command) -> Vec<Message> {
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
    // What cargo told this test about its own package is no business of other packages' build
    // scripts: some would run anew for it, and everything on top of them would be compiled anew,
    // here and then again in the next `cargo test`.
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

fn executable(messages: &[Message], name: &str) -> PathBuf {
    let built = messages.iter().filter(|message| {
        message
            .target
            .as_ref()
            .is_some_and(|target| target.name == name)
    });
    let mut paths = built.filter_map(|message| message.executable.clone());
    paths
        .next()
        .unwrap_or_else(|| panic!("cargo says where it put {name}"))
}

/// The target directory of the tests: cargo gives them a folder in it.
fn target_dir() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

/// The profile of the tests, which is the name of the folder that they are in, but for `dev`.
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
