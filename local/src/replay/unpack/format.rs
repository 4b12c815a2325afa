//! Detection of data that is not text.

/// Data is binary if more than one byte in this many is not a text byte. Text in a western European
/// eight-bit encoding has fewer; encrypted and compressed data has more than one in three.
const MIN_BINARY_SHARE: usize = 5;

/// Signatures of formats in which logs are compressed, encrypted or exported.
const FORMATS: &[(&[u8], &str)] = &[
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"\xff\x06\0\0sNaPpY", "Snappy"),
    (b"\x82SNAPPY\0", "Hadoop Snappy"),
    (b"\x1f\x9d", "compress (.Z)"),
    (b"\x1f\x8b", "gzip with an unknown compression method"),
    (b"PK\x03\x04", "ZIP"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"PAR1", "Parquet"),
    (b"PARE", "encrypted Parquet"),
    (b"ORC", "ORC"),
    (b"Obj\x01", "Avro"),
    (b"SEQ\x06", "a Hadoop sequence file"),
    (b"\xe0\x01\0\xea", "Amazon Ion"),
    (
        b"\xf3\x89\x9a\xc2",
        "a record aggregated by the Kinesis Producer Library",
    ),
    (
        b"LPKSHHRH",
        "a systemd journal file (export it with journalctl --output=json --all)",
    ),
    (b"Salted__", "data encrypted by OpenSSL"),
    (b"age-encryption.org/", "data encrypted by age"),
    (b"-----BEGIN PGP MESSAGE", "data encrypted by OpenPGP"),
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"%PDF-", "PDF"),
    (b"\x78\x01", "zlib"),
    (b"\x78\x9c", "zlib"),
    (b"\x78\xda", "zlib"),
];

/// Number of bytes needed to detect every format.
pub(super) const LOOKAHEAD: usize = 32;

/// Returns the format that these first bytes identify, or `None` if they may be text.
pub(super) fn detect(first: &[u8]) -> Option<&'static str> {
    let mut formats = FORMATS.iter();
    let (magic, name) = formats.find(|(magic, _)| first.starts_with(magic))?;
    // A signature that consists of letters may also be the start of a line of text.
    let is_word = magic.iter().all(|byte| byte.is_ascii_graphic());
    let is_text = is_word && magic.len() < 8 && !is_binary(first);
    (!is_text).then_some(*name)
}

/// Returns true if the bytes are not text in UTF-8 or another encoding that extends ASCII.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    let control: usize = bytes
        .utf8_chunks()
        .map(|chunk| {
            let controls = chunk
                .valid()
                .bytes()
                .filter(|byte| is_control(*byte))
                .count();
            controls + chunk.invalid().len()
        })
        .sum();
    control * MIN_BINARY_SHARE > bytes.len()
}

/// Returns true for a control character other than white space, backspace and terminal controls.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, 7..=13 | 27)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_begins_with_the_letters_of_a_format_is_text() {
        for text in [
            "BZhello, a line of a log file\n",
            "ORCHESTRATOR started, all well\n",
            "xyz",
            "",
        ] {
            assert_eq!(detect(text.as_bytes()), None, "{text}");
            assert!(!is_binary(text.as_bytes()), "{text}");
        }
        assert_eq!(
            detect(b"BZh91AY&SY\xf2\xd4\x11\x05\x00\x00\x9f\xdf\x80"),
            Some("bzip2")
        );
    }

    #[test]
    fn eight_bit_text_is_distinguished_from_binary_data() {
        assert!(!is_binary(b"Auftrag f\xfcr M\xfcller gebucht"));
        let random: Vec<u8> = (0..=255).map(|byte: u8| byte.wrapping_mul(167)).collect();
        assert!(is_binary(&random));
    }
}
