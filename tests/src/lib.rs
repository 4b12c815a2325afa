//! End-to-end tests: the real binaries over real sockets. They are in `it/`; this crate has no code of its own.
