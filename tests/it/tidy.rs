//! Style rules that rustfmt does not check: see `CONTRIBUTING.md`, "Style".

use std::fs;
use std::path::{Path, PathBuf};

const MAX_COLUMNS: usize = 100;

/// First words of a clause, which is not a summary: "What a queue …", "Whether …".
const CLAUSE_OPENINGS: [&str; 10] = [
    "How", "What", "When", "Where", "Whether", "Which", "Who", "Whom", "Whose", "Why",
];

/// A source file of the workspace, with its path relative to the root.
struct SourceFile {
    path: PathBuf,
    text: String,
}

fn source_files() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    collect(root, root, &mut files);
    assert!(files.len() > 100, "{} files", files.len());
    files
}

/// Adds the Rust files in `folder` and its subfolders, except hidden and generated ones.
fn collect(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                collect(root, &path, files);
            }
        } else if name.ends_with(".rs") {
            files.push(SourceFile {
                text: fs::read_to_string(&path).unwrap(),
                path: path.strip_prefix(root).unwrap().to_owned(),
            });
        }
    }
}

/// Asserts that `check` returns no line number for any source file.
fn assert_no_line(rule: &str, check: impl Fn(&str) -> Vec<usize>) {
    let mut violations = Vec::new();
    for file in source_files() {
        let lines = check(&file.text);
        violations.extend(
            lines
                .iter()
                .map(|line| format!("{}:{line}", file.path.display())),
        );
    }
    assert!(violations.is_empty(), "{rule}:\n{}", violations.join("\n"));
}

/// Returns the numbers of the lines that match, from 1.
fn line_numbers(text: &str, mut matches: impl FnMut(&str) -> bool) -> Vec<usize> {
    let lines = text.lines().enumerate();
    let matching = lines.filter(|(_, line)| matches(line));
    matching.map(|(index, _)| index + 1).collect()
}

/// Returns true for a comment that is too long. Tables, URLs and JSON samples cannot be wrapped.
fn is_too_long(line: &str) -> bool {
    let comment = line.trim_start();
    let can_be_wrapped = !["| ", "://", "\":"]
        .iter()
        .any(|part| comment.contains(part));
    comment.starts_with("//") && can_be_wrapped && line.chars().count() > MAX_COLUMNS
}

/// Returns the lines whose doc comment opens with a clause.
fn clause_openings(text: &str) -> Vec<usize> {
    let mut was_doc = false;
    line_numbers(text, |line| {
        let line = line.trim_start();
        let doc = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"));
        let is_first = doc.is_some() && !was_doc;
        was_doc = doc.is_some();
        let words = doc
            .into_iter()
            .flat_map(|doc| doc.split(|c: char| !c.is_alphabetic()));
        let first_word = words.into_iter().find(|word| !word.is_empty());
        is_first && first_word.is_some_and(|word| CLAUSE_OPENINGS.contains(&word))
    })
}

/// Returns the lines of private imports that follow an import of a later group or a module
/// declaration.
fn misplaced_imports(text: &str) -> Vec<usize> {
    let mut last = 0;
    line_numbers(text, |line| {
        let rank = match line.strip_prefix("use ") {
            Some(path) => import_group(path),
            None if is_module_declaration(line) => 3,
            None => return false,
        };
        let is_misplaced = rank < last;
        last = last.max(rank);
        is_misplaced
    })
}

/// Returns the position of an import's group: the standard library, other crates, this crate.
fn import_group(path: &str) -> usize {
    let first = path.split("::").next().unwrap_or_default();
    match first.trim_end_matches(';') {
        "std" | "core" | "alloc" => 0,
        "crate" | "self" | "super" => 2,
        _ => 1,
    }
}

fn is_module_declaration(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_indented = line.starts_with(char::is_whitespace);
    !is_indented && matches!(words.as_slice(), [.., "mod", name] if name.ends_with(';'))
}

/// Returns the first lines of imports with a path inside their braces.
fn nested_imports(text: &str) -> Vec<usize> {
    let mut import = String::new();
    let mut first_line = 0;
    let mut nested = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if import.is_empty() && matches!(words[..], ["use", ..] | [_, "use", ..]) {
            first_line = index + 1;
        } else if import.is_empty() {
            continue;
        }
        import.push_str(line);
        if line.ends_with(';') {
            let (_, names) = import.split_once('{').unwrap_or_default();
            if names.contains("::") {
                nested.push(first_line);
            }
            import.clear();
        }
    }
    nested
}

#[test]
fn comments_are_no_wider_than_the_code() {
    assert_no_line("comments of more than 100 columns", |text| {
        line_numbers(text, is_too_long)
    });
}

#[test]
fn docs_do_not_open_with_a_clause() {
    assert_no_line("docs that open with a clause", clause_openings);
}

#[test]
fn imports_precede_modules_in_three_groups() {
    assert_no_line(
        "imports after a later group or a module declaration",
        misplaced_imports,
    );
}

#[test]
fn each_import_names_one_module() {
    assert_no_line("imports with a path inside their braces", nested_imports);
}

#[test]
fn violations_are_found() {
    let long = format!("    // {}", "x".repeat(MAX_COLUMNS));
    assert!(is_too_long(&long) && !is_too_long(&long[..MAX_COLUMNS]));
    let docs = "//! What it is.\n\n/// A queue.\n/// Where it is.\nfn queue() {}\n/// Whether.\n";
    assert_eq!(clause_openings(docs), [1, 6]);
    let imports =
        "use std::fs;\nuse bytes::Buf;\nuse crate::a;\nuse http::Uri;\nmod b;\nuse self::b::C;\n";
    assert_eq!(misplaced_imports(imports), [4, 6]);
    let imports = "use a::{b, self};\npub use a::{\n    b,\n    c::D,\n};\nuse a::{b::{C, D}};\n";
    assert_eq!(nested_imports(imports), [2, 6]);
}
