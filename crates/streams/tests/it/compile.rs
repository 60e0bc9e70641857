//! What the compiler says to the likeliest mistakes: the messages are part of the API and pinned in `tests/ui/*.stderr`
//! (`TRYBUILD=overwrite` rewrites them), for the toolchain of `rust-toolchain` and CI. Not a test of behaviour.
//! Invariant: each message names the mistake or the way out in its first lines.

#[test]
fn mistakes_are_explained_by_the_compiler() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
