//! Fuzz target: any text as the payload of an invocation. The event is read, compared with the
//! result of another parser, traced and decoded, and gets a response.

#![no_main]

libfuzzer_sys::fuzz_target!(|json: &str| {
    baton_lambda::exercise::exercise(json);
});
