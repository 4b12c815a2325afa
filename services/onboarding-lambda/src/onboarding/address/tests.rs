use super::*;

const ACCEPTED: [&str; 9] = [
    "ada@example.com",
    "a@b.c",
    "ada.lovelace+news@mail.example.co.uk",
    "o'neil@example.org",
    "!#$%&'*+-/=?^_`{|}~@example.com",
    "7@7.example",
    "用户@例子.广告",
    "x@xn--fsqu00a.example",
    "ADA@EXAMPLE.COM",
];

const REFUSED: [&str; 36] = [
    "",
    "@",
    "ada",
    "ada@",
    "@example.com",
    "ada@localhost",
    "ada@@example.com",
    "ada@work@example.com",
    "ada@example..com",
    "ada@.example.com",
    "ada@example.com.",
    ".ada@example.com",
    "ada.@example.com",
    "ada..lovelace@example.com",
    // Quoted local parts.
    "\"ada\"@example.com",
    "\"a b\"@example.com",
    "\"a@b\"@example.com",
    "\"@example.com",
    // Comments, display names, IP addresses, lists.
    "ada(work)@example.com",
    "ada@(work)example.com",
    "Ada <ada@example.com>",
    " <ada@example.com>",
    "<ada@example.com>",
    "ada@[127.0.0.1]",
    "ada@example.com,bob@example.com",
    "mailto:ada@example.com",
    // Whitespace, also invisible kinds, and control characters.
    " ada@example.com",
    "ada@example.com ",
    "ada lovelace@example.com",
    "ada@exa\nmple.com",
    "ada\u{0}@example.com",
    "ada\u{a0}lovelace@example.com",
    "ada\u{200b}@example.com",
    // Invalid labels of a domain.
    "ada@-example.com",
    "ada@example-.com",
    "ada@exa_mple.com",
];

#[test]
fn common_addresses_are_accepted() {
    for address in ACCEPTED {
        assert!(is_address(address), "{address:?}");
    }
}

#[test]
fn invalid_and_unusual_addresses_are_rejected() {
    for address in REFUSED {
        assert!(!is_address(address), "{address:?}");
    }
}

#[test]
fn the_limits_are_those_of_smtp_and_dns() {
    let address = |local_part: usize, label: usize, rest: usize| {
        let label = "b".repeat(label);
        format!(
            "{}@{label}.{label}.{}.com",
            "a".repeat(local_part),
            "d".repeat(rest)
        )
    };
    // 64 + 1 + 63 + 1 + 63 + 1 + 57 + 4 = 254.
    assert_eq!(address(64, 63, 57).len(), MAX_ADDRESS);
    assert!(is_address(&address(64, 63, 57)));
    for (local_part, label, rest) in [(65, 63, 56), (64, 64, 55), (64, 63, 58)] {
        assert!(!is_address(&address(local_part, label, rest)));
    }
}
