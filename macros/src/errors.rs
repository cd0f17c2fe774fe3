//! The mistakes found in one item. They are collected, so that the user sees them all at once.

use proc_macro2::TokenStream;
use quote::ToTokens;

/// Becomes one `compile_error!` a mistake, each at the user's tokens.
#[derive(Default)]
pub struct Errors(Vec<syn::Error>);

impl Errors {
    /// Adds a mistake that `syn` found.
    pub fn push(&mut self, error: syn::Error) {
        self.0.push(error);
    }

    /// Adds a mistake at `tokens`.
    pub fn at(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// How many there are so far.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl ToTokens for Errors {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.0.iter().map(syn::Error::to_compile_error));
    }
}
