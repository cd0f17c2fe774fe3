//! `forward`: its rules, the scope around its body, and `impl Forward`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, FnArg, Generics, Ident, ImplItemFn, ItemImpl, Pat, Path, Receiver, ReturnType, Type};

use crate::errors::Errors;
use crate::options::cfgs;

/// The good signature of a `forward`.
pub struct Signature {
    cfgs: Vec<Attribute>,
    generics: Generics,
    inputs: Vec<Type>,
    output: Type,
}

impl Signature {
    /// Reports every mistake; `None` if there was one.
    pub fn check(function: &ImplItemFn, errors: &mut Errors) -> Option<Signature> {
        let before = errors.count();
        check_qualifiers(function, errors);
        check_receiver(function, errors);
        let inputs = check_inputs(function, errors);
        let output = check_output(function, errors);
        let cfgs = cfgs(&function.attrs).into_iter().cloned().collect();
        let generics = function.sig.generics.clone();
        if errors.count() > before { None } else { Some(Signature { cfgs, generics, inputs, output: output? }) }
    }

    /// Puts the body in the module's scope.
    ///
    /// `forward` is `#[track_caller]`, so that the scope learns which line called the module. That would also hide the
    /// lines of the body, since a call inside such a function reports the function's own caller; a call inside a closure
    /// does not, so the body becomes one. A `#[track_caller]` that the user wrote keeps its usual meaning.
    pub fn wrap(&self, function: &mut ImplItemFn, prefix: &Path) {
        let statements = std::mem::take(&mut function.block.stmts);
        let output = &self.output;
        let scope = Ident::new("_scope", proc_macro2::Span::mixed_site());
        let receiver = function.sig.receiver().map(|receiver| receiver.self_token);
        let enter = quote!(let #scope = #prefix::Scope::enter(#receiver););
        if function.attrs.iter().any(|attribute| attribute.path().is_ident("track_caller")) {
            function.block = syn::parse_quote!({ #enter #(#statements)* });
            return;
        }
        function.attrs.push(syn::parse_quote!(#[track_caller]));
        function.attrs.push(syn::parse_quote!(#[allow(clippy::redundant_closure_call)]));
        function.block = syn::parse_quote!({
            #enter
            (|| -> #output { #(#statements)* })()
        });
    }

    /// `impl Forward<Input> for Model`, where several inputs are a tuple.
    pub fn implement(&self, item: &ItemImpl, prefix: &Path) -> TokenStream {
        let mut generics = item.generics.clone();
        generics.params.extend(self.generics.params.iter().cloned());
        if let Some(clause) = &self.generics.where_clause {
            generics.make_where_clause().predicates.extend(clause.predicates.iter().cloned());
        }
        let (impl_generics, _, where_clause) = generics.split_for_impl();
        let Signature { inputs, output, .. } = self;
        let names: Vec<Ident> = (0..inputs.len()).map(|index| format_ident!("input{index}")).collect();
        let (input, pattern) = match (&inputs[..], &names[..]) {
            ([input], [name]) => (quote!(#input), quote!(#name)),
            _ => (quote!((#(#inputs),*)), quote!((#(#names),*))),
        };
        let model = &item.self_ty;
        let cfgs = cfgs(&item.attrs).into_iter().chain(&self.cfgs);
        quote! {
            #(#cfgs)*
            #[automatically_derived]
            impl #impl_generics #prefix::Forward<#input> for #model #where_clause {
                type Output = #output;

                #[track_caller]
                fn forward(&self, #pattern: #input) -> #output {
                    Self::forward(self, #(#names),*)
                }
            }
        }
    }
}

fn check_qualifiers(function: &ImplItemFn, errors: &mut Errors) {
    let signature = &function.sig;
    if let Some(token) = &signature.asyncness {
        errors.at(
            token,
            "`forward` cannot be async: it records the graph once, while the program is built, and waits for nothing",
        );
    }
    if let Some(token) = &signature.unsafety {
        errors.at(token, "`forward` cannot be unsafe: other modules call it through the trait `Forward`");
    }
    if let Some(token) = &signature.constness {
        errors.at(token, "`forward` cannot be const: it records the graph of the running trace");
    }
    if let Some(abi) = &signature.abi {
        errors.at(abi, "`forward` is called from Rust only: remove the ABI");
    }
}

fn check_receiver(function: &ImplItemFn, errors: &mut Errors) {
    let signature = &function.sig;
    let is_shared = |receiver: &Receiver| match (&receiver.reference, &receiver.colon_token, &*receiver.ty) {
        (Some(_), None, _) => receiver.mutability.is_none(),
        (None, Some(_), Type::Reference(reference)) => {
            reference.mutability.is_none() && matches!(&*reference.elem, Type::Path(path) if path.path.is_ident("Self"))
        }
        _ => false,
    };
    match signature.receiver() {
        None => errors.at(&signature.ident, "`forward` needs `&self`: write `fn forward(&self, x: Tensor) -> Tensor`"),
        Some(receiver) if is_shared(receiver) => {}
        Some(receiver) => errors.at(
            receiver,
            "`forward` takes `&self`: it only records the graph; state that changes from step to step belongs in a `Buffer`",
        ),
    }
}

fn check_inputs(function: &ImplItemFn, errors: &mut Errors) -> Vec<Type> {
    let signature = &function.sig;
    if let Some(variadic) = &signature.variadic {
        errors.at(variadic, "`forward` needs a fixed number of inputs");
    }
    let mut inputs = Vec::new();
    for input in &signature.inputs {
        let FnArg::Typed(input) = input else { continue };
        match &*input.pat {
            Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => {}
            pattern => errors.at(
                pattern,
                "an input of `forward` needs a name, which dumps and diagnostics show; take it apart inside the body",
            ),
        }
        if matches!(&*input.ty, Type::ImplTrait(_)) {
            errors.at(
                &input.ty,
                "an input of `forward` needs a type of its own, such as `Tensor`: modules are chained by it",
            );
        }
        inputs.push(Type::clone(&input.ty));
    }
    if inputs.is_empty() {
        errors.at(&signature.ident, "`forward` needs an input: write `fn forward(&self, x: Tensor) -> Tensor`");
    }
    inputs
}

fn check_output(function: &ImplItemFn, errors: &mut Errors) -> Option<Type> {
    let ReturnType::Type(_, output) = &function.sig.output else {
        errors.at(&function.sig.ident, "`forward` needs to return what it computes: add `-> Tensor`");
        return None;
    };
    match &**output {
        Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Result") => errors.at(
            output,
            "`forward` returns its output, not a `Result`: mistakes in shapes and dtypes are reported by the trace, \
             all together, each at its own line",
        ),
        Type::Reference(_) => errors.at(output, "`forward` returns its output by value"),
        Type::ImplTrait(_) => errors.at(output, "the output of `forward` needs a type of its own, such as `Tensor`"),
        _ => {}
    }
    Some(Type::clone(output))
}
