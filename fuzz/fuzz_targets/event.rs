//! Any bytes as the payload of an invocation: read, held against the peer's reading, traced,
//! decoded and answered.

#![no_main]

libfuzzer_sys::fuzz_target!(|json: &str| {
    baton_lambda::exercise::exercise(json);
});
