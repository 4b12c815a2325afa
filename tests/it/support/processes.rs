//! The process table.

use std::process::Command;

/// A process in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    parent: u32,
    state: char,
}

impl Process {
    /// Returns `true` if the process is stopped, as Lambda freezes an environment.
    pub(crate) fn is_frozen(&self) -> bool {
        self.state == 'T'
    }
}

/// Returns `true` if the process with this id is stopped.
pub(crate) fn is_frozen(id: u32) -> bool {
    table()
        .iter()
        .any(|process| process.id == id && process.is_frozen())
}

/// Returns all living descendants of a process.
pub(crate) fn descendants(ancestor: u32) -> Vec<Process> {
    let table = table();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        for process in table.iter().filter(|process| process.parent == parent) {
            parents.push(process.id);
            found.push(process.clone());
        }
    }
    found
}

/// Returns the ones of `processes` that still live.
pub(crate) fn alive(processes: &[Process]) -> Vec<Process> {
    table()
        .into_iter()
        .filter(|now| processes.iter().any(|then| then.id == now.id))
        .collect()
}

/// Reads the process table without zombies. `ps` and these columns are POSIX, unlike `/proc`.
fn table() -> Vec<Process> {
    let output = Command::new("ps")
        .args(["-A", "-o", "pid=", "-o", "ppid=", "-o", "stat="])
        .output()
        .expect("ps can be started");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(parse)
        .filter(|process| process.state != 'Z')
        .collect()
}

fn parse(line: &str) -> Option<Process> {
    let mut columns = line.split_whitespace();
    let id = columns.next()?.parse().ok()?;
    let parent = columns.next()?.parse().ok()?;
    let state = columns.next()?.chars().next()?;
    Some(Process { id, parent, state })
}
