//! Compiles each file in `wrong_handlers/`, and checks that the compiler's output is short and
//! names the remedy. Its full text differs between compilers and is not compared.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Maximum number of lines, and of errors, for one mistake.
#[derive(Debug)]
struct Limit {
    lines: usize,
    errors: usize,
}

const ONE_ERROR: Limit = Limit {
    lines: 25,
    errors: 1,
};
const TWO_ERRORS: Limit = Limit {
    lines: 40,
    errors: 2,
};

/// File, limit, and text that names the remedy.
const MISTAKES: [(&str, Limit, &str); 15] = [
    (
        "missing_deserialize",
        ONE_ERROR,
        "add `#[derive(serde::Deserialize)]` to `Order`",
    ),
    (
        "wrong_result",
        ONE_ERROR,
        "expected a handler that returns `Result<(), E>`",
    ),
    (
        "no_result",
        ONE_ERROR,
        "a handler returns `Result<(), E>`, but this one returns `()`",
    ),
    (
        "wrong_error",
        ONE_ERROR,
        "`E` is `Failure`, or a type that `?` converts into it",
    ),
    ("not_async", ONE_ERROR, "add `async` before `fn`"),
    (
        "not_send",
        ONE_ERROR,
        "has type `Rc<i32>` which is not `Send`",
    ),
    ("no_message", ONE_ERROR, "expected `async fn(Message<T>)"),
    (
        "missing_state",
        ONE_ERROR,
        "the type given to `Consumer::builder().state(…)`",
    ),
    (
        "wrong_state",
        TWO_ERRORS,
        "the type given to `Consumer::builder().state(…)`",
    ),
    (
        "batch_handler_in_run",
        ONE_ERROR,
        "needs `run_batch` instead of `run`",
    ),
    (
        "message_handler_in_run_batch",
        ONE_ERROR,
        "need `run` instead of `run_batch`",
    ),
    (
        "layers_of_a_batch",
        ONE_ERROR,
        "layers do not apply to a handler of whole batches",
    ),
    (
        "run_with_missing_state",
        TWO_ERRORS,
        "the type given to `Consumer::builder().state(…)`",
    ),
    (
        "run_with_state_only",
        ONE_ERROR,
        "expected `ConsumerBuilder<",
    ),
    (
        "run_with_arguments_swapped",
        TWO_ERRORS,
        "expected `ConsumerBuilder<",
    ),
];

#[test]
fn a_wrong_handler_gives_a_short_error_that_names_the_remedy() {
    let library = compiled_library();
    for (name, limit, remedy) in &MISTAKES {
        let output = compile(&library, name);
        let errors = output.lines().filter(|line| is_error(line)).count();
        let lines = output.lines().count();
        assert!(errors > 0, "{name} compiles");
        assert!(errors <= limit.errors, "{name}: {errors} errors\n{output}");
        assert!(lines <= limit.lines, "{name}: {lines} lines\n{output}");
        assert!(output.contains(remedy), "{name}: {remedy}\n{output}");
    }
}

/// Returns true for the first line of an error, except for the summary at the end.
fn is_error(line: &str) -> bool {
    line.starts_with("error") && !line.starts_with("error: aborting")
}

fn compile(library: &Path, name: &str) -> String {
    // The compiler quotes the library's source only if it is below the current folder.
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let source = format!("tests/it/wrong_handlers/{name}.rs");
    let libraries = library.parent().unwrap().display();
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata"])
        .args(["--color=never", "--out-dir", env!("CARGO_TARGET_TMPDIR")])
        .arg(format!("--extern=baton_lambda={}", library.display()))
        .arg(format!("-Ldependency={libraries}"))
        .arg(source)
        .current_dir(root)
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}

/// Returns the path of the library that this test is linked with: the one that was compiled last.
fn compiled_library() -> PathBuf {
    let test = env::current_exe().unwrap();
    let libraries = test.parent().unwrap().read_dir().unwrap();
    let paths = libraries.map(|entry| entry.unwrap().path());
    let is_library = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("libbaton_lambda-") && name.ends_with(".rlib"))
    };
    let modified = |path: &PathBuf| path.metadata().unwrap().modified().unwrap();
    paths.filter(is_library).max_by_key(modified).unwrap()
}
