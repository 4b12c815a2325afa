//! Checks that the documentation names the minor version of `opentelemetry` in the manifest.

const MANIFEST: &str = include_str!("../../Cargo.toml");
const DOCUMENTS: [(&str, &str); 3] = [
    ("README.md", include_str!("../../README.md")),
    ("lambda/src/lib.rs", include_str!("lib.rs")),
    (
        "producer/src/lib.rs",
        include_str!("../../producer/src/lib.rs"),
    ),
];

#[test]
fn the_documentation_names_the_minor_version_of_opentelemetry_in_the_manifest() {
    let (_, rest) = MANIFEST
        .split_once("\nopentelemetry = { version = \"")
        .unwrap();
    let (version, _) = rest.split_once('"').unwrap();
    let (major, rest) = version.split_once('.').unwrap();
    let minor = rest.split('.').next().unwrap();
    let version = format!("{major}.{minor}");
    for (name, text) in DOCUMENTS {
        let named = text.matches("`opentelemetry` 0.").count();
        let fitting = text.matches(&format!("`opentelemetry` {version}")).count();
        assert!(
            named > 0 && named == fitting,
            "{name} does not name {version}"
        );
    }
}
