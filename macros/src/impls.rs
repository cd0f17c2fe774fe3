//! `#[model]` on an impl block: call sugar in every method, and what makes its `forward` a module's.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ImplItem, ItemImpl, Path};

use crate::calls;
use crate::errors::Errors;
use crate::forward;

/// The impl block with its calls rewritten, and `impl Forward` if it has a good `forward`.
pub fn expand(mut item: ItemImpl, prefix: &Path, errors: &mut Errors) -> TokenStream {
    if let Some((_, path, _)) = &item.trait_ {
        errors.at(path, "`#[model]` goes on the model's own impl block, `impl Model { … }`, not on a trait's");
        return quote!(#item);
    }
    let functions =
        || item.items.iter().filter_map(|it| if let ImplItem::Fn(function) = it { Some(function) } else { None });
    let methods: BTreeSet<String> = functions().map(|function| function.sig.ident.to_string()).collect();
    let signature = functions()
        .find(|it| it.sig.ident == "forward")
        .and_then(|function| forward::Signature::check(function, errors));

    for function in item.items.iter_mut() {
        let ImplItem::Fn(function) = function else { continue };
        if function.sig.receiver().is_some() {
            calls::rewrite(&mut function.block, &methods, prefix);
        }
        if let (true, Some(signature)) = (function.sig.ident == "forward", &signature) {
            signature.wrap(function, prefix);
        }
    }
    let implementation = signature.map(|signature| signature.implement(&item, prefix));
    quote!(#item #implementation)
}
