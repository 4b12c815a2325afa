//! Valid certificate and key files, and files that were configured by mistake.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::config::TelemetryConfig;
use crate::config::tests::config;

const AUTHORITIES: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";
const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.test");

/// Generates a key and a certificate for it. Returns the certificate and the key as PEM.
fn identity(algorithm: &'static rcgen::SignatureAlgorithm) -> (String, String) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let parameters = CertificateParams::new(["function.test".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    (
        pem("CERTIFICATE", certificate.der()),
        pem("PRIVATE KEY", &key.serialize_der()),
    )
}

fn p256() -> (String, String) {
    identity(&rcgen::PKCS_ECDSA_P256_SHA256)
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// Writes files with these contents, which exist until the returned directory is dropped.
fn files<const N: usize>(contents: [&str; N]) -> (TempDir, [String; N]) {
    let directory = TempDir::new().unwrap();
    let mut index = 0;
    let paths = contents.map(|content| {
        index += 1;
        let path = directory.path().join(format!("{index}.pem"));
        std::fs::write(&path, content).unwrap();
        text(&path)
    });
    (directory, paths)
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Returns the number of authorities and of client certificates for traces.
fn counts(config: &TelemetryConfig) -> (Option<usize>, Option<usize>) {
    let certificates = &config.traces.otlp().unwrap().certificates;
    let client = certificates.client.as_ref();
    (
        certificates.authorities.as_ref().map(Vec::len),
        client.map(|client| client.chain.len()),
    )
}

#[test]
fn without_files_the_compiled_in_authorities_and_no_client_certificate_are_used() {
    let (config, problems) = config(&[ENDPOINT]);
    assert_eq!(counts(&config), (None, None));
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn authorities_and_an_identity_are_read_from_their_files() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
    ] {
        let (certificate, key) = identity(algorithm);
        let (authority, _) = p256();
        let bundle = format!("# two of them\n{authority}{certificate}");
        let chain = format!("{certificate}{authority}");
        let (_directory, [bundle, chain, key]) = files([&bundle, &chain, &key]);
        let variables = [
            ENDPOINT,
            (AUTHORITIES, &bundle),
            (CERTIFICATE, &chain),
            (KEY, &key),
        ];
        let (config, problems) = config(&variables);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(counts(&config), (Some(2), Some(2)));
    }
}

#[test]
fn one_file_may_hold_both_certificate_and_key() {
    let (certificate, key) = p256();
    let (_directory, [both]) = files([&format!("{key}{certificate}")]);
    let (config, problems) = config(&[ENDPOINT, (CERTIFICATE, &both), (KEY, &both)]);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(counts(&config), (None, Some(1)));
}

#[test]
fn a_signal_has_its_own_authorities() {
    let (one, _) = p256();
    let two = format!("{one}{one}");
    let (_directory, [one, two]) = files([&one, &two]);
    let own = "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE";
    let (config, problems) = config(&[ENDPOINT, (AUTHORITIES, &one), (own, &two)]);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(counts(&config), (Some(1), None));
    let metrics = &config.metrics.otlp().unwrap().certificates;
    assert_eq!(metrics.authorities.as_ref().map(Vec::len), Some(2));
}

#[test]
fn an_invalid_file_is_reported_and_nothing_is_exported() {
    let (certificate, key) = p256();
    let broken = certificate.replacen("M", "*", 1);
    let no_certificate = pem("CERTIFICATE", b"what is this");
    let bundle = format!("{certificate}{no_certificate}");
    let long = "#".repeat(1024 * 1024 + 1);
    let (directory, paths) = files([&key, "", &broken, &no_certificate, &bundle, &long]);
    let [key, empty, broken, no_certificate, bundle, long] = &paths;
    let (missing, folder) = (directory.path().join("missing"), text(directory.path()));
    let missing = text(&missing);
    for (name, path, found) in [
        (AUTHORITIES, &missing, "a path that does not exist"),
        (AUTHORITIES, &folder, "a path that is not a file"),
        (AUTHORITIES, empty, "a file without a certificate"),
        (AUTHORITIES, key, "a file without a certificate"),
        (AUTHORITIES, broken, "an invalid PEM file"),
        (
            AUTHORITIES,
            no_certificate,
            "a file whose certificate 1 is invalid",
        ),
        (AUTHORITIES, bundle, "a file whose certificate 2 is invalid"),
        (AUTHORITIES, long, "a file with more than 1048576 bytes"),
        (CERTIFICATE, &missing, "a path that does not exist"),
        (CERTIFICATE, key, "a file without a certificate"),
        (
            CERTIFICATE,
            no_certificate,
            "a file whose certificate 1 is invalid",
        ),
        (KEY, &missing, "a path that does not exist"),
        (KEY, no_certificate, "a file without a private key"),
    ] {
        let (config, problems) = config(&[ENDPOINT, (name, path)]);
        assert!(config.traces.otlp().is_none(), "{name} {found}");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].starts_with(&format!("{name}: expected a PEM file with the ")),
            "{problems:?}"
        );
        assert!(
            problems[0].ends_with(&format!(
                "found {found}; export is disabled for traces and metrics"
            )),
            "{problems:?}"
        );
    }
}

#[test]
fn a_client_certificate_and_its_key_must_both_be_set_and_match() {
    let ((certificate, key), (_, other)) = (p256(), p256());
    let (_directory, [certificate, key, other]) = files([&certificate, &key, &other]);
    for (variables, expected) in [
        (
            &[(CERTIFICATE, certificate.as_str())][..],
            format!("{KEY}: expected a client key for the certificate, found none"),
        ),
        (
            &[(KEY, &key)],
            format!("{CERTIFICATE}: expected a client certificate for the key, found none"),
        ),
        (
            &[(CERTIFICATE, &certificate), (KEY, &other)],
            format!(
                "{KEY}: expected the private key of the client's certificate, found the key of another certificate"
            ),
        ),
    ] {
        let (config, problems) = config(&[&[ENDPOINT], variables].concat());
        assert!(config.traces.otlp().is_none() && config.metrics.otlp().is_none());
        let expected = format!("{expected}; export is disabled for traces and metrics");
        assert_eq!(problems, [expected]);
    }
}

#[test]
fn certificates_for_an_endpoint_without_tls_are_reported_as_unused() {
    let (config, problems) = config(&[(AUTHORITIES, "/missing")]);
    assert!(config.traces.otlp().is_some());
    assert_eq!(
        problems,
        [
            "OTEL_EXPORTER_OTLP_CERTIFICATE: expected an https endpoint, found one without TLS; the file is not used for traces and metrics"
        ]
    );
}

#[test]
fn a_private_key_is_not_in_problems_or_debug_output() {
    let (certificate, key) = p256();
    let secret = key.lines().nth(1).unwrap();
    let (_, problems) = config(&[ENDPOINT, (KEY, &key), (CERTIFICATE, &key)]);
    assert_eq!(problems.len(), 2);
    assert!(!problems.concat().contains(secret), "{problems:?}");
    let (_directory, [both]) = files([&format!("{certificate}{key}")]);
    let (config, _) = config(&[ENDPOINT, (CERTIFICATE, &both), (KEY, &both)]);
    let shown = format!("{config:?}");
    assert!(
        shown.contains("ClientIdentity { certificates: 1, .. }"),
        "{shown}"
    );
}
