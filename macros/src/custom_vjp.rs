//! `#[custom_vjp]` on a function: its derivative is another function.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{FnArg, Ident, Item, ItemFn, Pat, PatIdent, Path, ReturnType, Type};

use crate::errors::Errors;

/// What stands in the parentheses.
struct Options {
    backward: Option<Path>,
    prefix: Path,
}

/// An argument of the function.
struct Argument {
    /// With its `mut`.
    pattern: PatIdent,
    is_tensor: bool,
}

/// The function with its derivative, or as it is where there are mistakes.
pub fn expand(arguments: TokenStream, tokens: TokenStream, errors: &mut Errors) -> TokenStream {
    let options = options(arguments, errors);
    let function = match syn::parse2::<Item>(tokens.clone()) {
        Ok(Item::Fn(function)) => function,
        Ok(item) => {
            errors.at(item, "`#[custom_vjp(backward = …)]` goes on a function");
            return tokens;
        }
        Err(error) => {
            errors.push(error);
            return tokens;
        }
    };
    let before = errors.count();
    check_qualifiers(&function, errors);
    let arguments = check_arguments(&function, errors);
    let output = check_output(&function, errors);
    match (options.backward, output) {
        (Some(backward), Some(output)) if errors.count() == before => {
            rewrite(function, &arguments, &output, &backward, &options.prefix)
        }
        _ => quote!(#function),
    }
}

fn options(arguments: TokenStream, errors: &mut Errors) -> Options {
    let mut options = Options { backward: None, prefix: syn::parse_quote!(::kiln) };
    let before = errors.count();
    let parser = syn::meta::parser(|meta| {
        let path = if meta.path.is_ident("backward") || meta.path.is_ident("crate") {
            meta.value()?.call(Path::parse_mod_style)?
        } else {
            return Err(meta.error("`#[custom_vjp]` knows `backward = function` and `crate = path`"));
        };
        if meta.path.is_ident("crate") {
            options.prefix = path;
        } else {
            options.backward = Some(path);
        }
        Ok(())
    });
    if let Err(error) = parser.parse2(arguments) {
        errors.push(error);
    }
    if options.backward.is_none() && errors.count() == before {
        let message =
            "`#[custom_vjp]` needs the function that makes the gradients: `#[custom_vjp(backward = my_backward)]`";
        errors.push(syn::Error::new(Span::call_site(), message));
    }
    options
}

fn check_qualifiers(function: &ItemFn, errors: &mut Errors) {
    let signature = &function.sig;
    if let Some(token) = &signature.asyncness {
        errors
            .at(token, "a function with its own derivative cannot be async: it records a graph and waits for nothing");
    }
    if let Some(token) = &signature.constness {
        errors
            .at(token, "a function with its own derivative cannot be const: it records the graph of the running trace");
    }
    if let Some(token) = &signature.unsafety {
        errors.at(token, "a function with its own derivative cannot be unsafe");
    }
}

fn check_arguments(function: &ItemFn, errors: &mut Errors) -> Vec<Argument> {
    let mut arguments = Vec::new();
    for input in &function.sig.inputs {
        let input = match input {
            FnArg::Receiver(receiver) => {
                errors.at(
                    receiver,
                    "a function with its own derivative has no `self`: gradients go to its tensors only, so what a \
                     module holds is given to it, as in `f(x, self.weight.tensor())`",
                );
                continue;
            }
            FnArg::Typed(input) => input,
        };
        let is_tensor = is_tensor(&input.ty);
        if !is_tensor && mentions_tensor(&input.ty) {
            errors.at(
                &input.ty,
                "a tensor needs to be an argument of its own, of type `Tensor`: each has its own gradient",
            );
        }
        match &*input.pat {
            Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
                arguments.push(Argument { pattern: pattern.clone(), is_tensor });
            }
            pattern => errors.at(pattern, "an argument needs a name; take it apart inside the body"),
        }
    }
    let has_mistake = arguments.len() < function.sig.inputs.len();
    if !has_mistake && !arguments.iter().any(|argument| argument.is_tensor) {
        errors.at(&function.sig.ident, "a function with its own derivative needs an argument of type `Tensor`");
    }
    arguments
}

fn check_output(function: &ItemFn, errors: &mut Errors) -> Option<Type> {
    match &function.sig.output {
        ReturnType::Type(_, output) => Some(Type::clone(output)),
        ReturnType::Default => {
            errors.at(
                &function.sig.ident,
                "a function with its own derivative returns what it computes: add `-> Tensor`",
            );
            None
        }
    }
}

/// The body and the derivative become arguments of `kiln::custom_vjp`. As in a `forward`, the function is `#[track_caller]`, and its body a closure so
/// that its lines stay its own.
fn rewrite(mut function: ItemFn, arguments: &[Argument], output: &Type, backward: &Path, prefix: &Path) -> TokenStream {
    let hidden = |name: &str| Ident::new(name, Span::mixed_site());
    // What does not fit the derivative's signature shows where it is named.
    let at_backward = |name: &str| Ident::new(name, Span::mixed_site().located_at(backward.span()));
    let (apply, saved, cotangent) = (at_backward("apply"), at_backward("saved"), at_backward("cotangent"));
    let tensors: Vec<&PatIdent> = arguments.iter().filter(|it| it.is_tensor).map(|it| &it.pattern).collect();
    let names: Vec<&Ident> = tensors.iter().map(|pattern| &pattern.ident).collect();
    let configuration: Vec<&Ident> = arguments.iter().filter(|it| !it.is_tensor).map(|it| &it.pattern.ident).collect();
    let copies: Vec<Ident> = configuration.iter().map(|name| hidden(&format!("copy_of_{name}"))).collect();
    let (count, name) = (tensors.len(), function.sig.ident.to_string());
    let statements = std::mem::take(&mut function.block.stmts);
    let call = quote_spanned!(backward.span()=> #backward(#saved, #cotangent #(, #copies)*));
    function.attrs.push(syn::parse_quote!(#[track_caller]));
    function.block = syn::parse_quote!({
        #(let #copies = ::core::clone::Clone::clone(&#configuration);)*
        use #prefix::custom_vjp as #apply;
        #apply(
            #name,
            [#(#names),*],
            |[#(#tensors),*]: [#prefix::Tensor; #count]| -> #output { #(#statements)* },
            move |#saved: #prefix::autograd::Saved<#count, #output>, #cotangent: #output| #call,
        )
    });
    for input in &mut function.sig.inputs {
        if let FnArg::Typed(input) = input
            && let Pat::Ident(pattern) = &mut *input.pat
            && is_tensor(&input.ty)
        {
            pattern.mutability = None;
        }
    }
    quote!(#function)
}

/// Whether the type is `Tensor`, by any path.
fn is_tensor(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Tensor"))
}

fn mentions_tensor(tokens: impl ToTokens) -> bool {
    tokens.into_token_stream().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == "Tensor",
        TokenTree::Group(group) => mentions_tensor(group.stream()),
        _ => false,
    })
}
