//! Mistakes in a model, with the text and the carets that the user sees.

#[test]
fn mistakes_are_reported_at_the_users_tokens() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
