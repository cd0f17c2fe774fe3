//! `#[model]` on a struct: `impl Module`, one visit a field.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Fields, Ident, Index, ItemStruct, LitStr, Member, Type, TypeBareFn, TypeReference};

use crate::errors::Errors;
use crate::options::{ItemOptions, cfgs, default_name, take_field_options};

/// The struct, without our attributes on its fields, and its `impl Module`.
///
/// A field with a mistake is left out of the visit, so that one mistake gives one message.
pub fn expand(mut item: ItemStruct, options: &ItemOptions, errors: &mut Errors) -> TokenStream {
    let prefix = &options.prefix;
    let parameters: Vec<Ident> = item.generics.type_params().map(|parameter| parameter.ident.clone()).collect();
    let parameters: Vec<&Ident> = parameters.iter().collect();
    let myself = [&item.ident, &Ident::new("Self", item.ident.span())];

    let mut names = Names::default();
    let mut visits = Vec::new();
    let mut generics = item.generics.clone();
    for (member, field) in members(&mut item.fields) {
        let before = errors.count();
        let options = take_field_options(field, errors);
        let cfgs = cfgs(&field.attrs);
        if options.skip || errors.count() > before || !owns(&field.ty, errors) {
            continue;
        }
        let name = options.name.unwrap_or_else(|| default_name(&member));
        // Fields that exclude each other may share a name.
        if cfgs.is_empty() && !names.insert(&name, &member, errors) {
            continue;
        }
        let ty = &field.ty;
        // A recursive type would make its own bound depend on itself.
        if mentions(ty, &parameters) && !mentions(ty, &myself) {
            generics.make_where_clause().predicates.push(syn::parse_quote!(#ty: #prefix::Member));
        }
        let visit = quote_spanned!(ty.span()=> <#ty as #prefix::Member>::visit_as(&self.#member, #name, visitor););
        visits.push(quote!(#(#cfgs)* { #visit }));
    }

    // With the literal's span its line is the place of the promise.
    let peak_memory = options.peak_memory.as_ref().map(|limit| {
        quote_spanned! {limit.span()=>
            fn peak_memory(&self) -> ::core::option::Option<(&'static str, &'static ::core::panic::Location<'static>)> {
                ::core::option::Option::Some((#limit, ::core::panic::Location::caller()))
            }
        }
    });

    let ident = &item.ident;
    let cfgs = cfgs(&item.attrs);
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let (_, type_generics, _) = item.generics.split_for_impl();
    quote! {
        #item

        #(#cfgs)*
        #[automatically_derived]
        #[allow(private_bounds, unused_variables)]
        impl #impl_generics #prefix::Module for #ident #type_generics #where_clause {
            fn visit(&self, visitor: &mut dyn #prefix::Visitor) {
                #(#visits)*
            }

            #peak_memory
        }
    }
}

fn members(fields: &mut Fields) -> Vec<(Member, &mut syn::Field)> {
    let member = |(index, field): (usize, &syn::Field)| match &field.ident {
        Some(ident) => Member::Named(ident.clone()),
        None => Member::Unnamed(Index { index: index as u32, span: field.ty.span() }),
    };
    fields.iter_mut().enumerate().map(|(index, field)| (member((index, &*field)), field)).collect()
}

/// Whether any identifier of `ty` is one of `idents`.
fn mentions(ty: &Type, idents: &[&Ident]) -> bool {
    fn search(tokens: TokenStream, idents: &[&Ident]) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => idents.iter().any(|it| **it == ident),
            TokenTree::Group(group) => search(group.stream(), idents),
            _ => false,
        })
    }
    search(ty.to_token_stream(), idents)
}

/// The names in the `state_dict`, with the field that took each.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    /// Whether `name` was free.
    fn insert(&mut self, name: &LitStr, member: &Member, errors: &mut Errors) -> bool {
        let label = |member: &Member| match member {
            Member::Named(ident) => ident.to_string(),
            Member::Unnamed(index) => index.index.to_string(),
        };
        let Some(first) = self.0.insert(name.value(), label(member)) else { return true };
        let (name, second) = (name.value(), label(member));
        let message = format!("the fields `{first}` and `{second}` would both be `{name}` in the state_dict");
        match member {
            Member::Named(ident) => errors.at(ident, message),
            Member::Unnamed(index) => errors.push(syn::Error::new(index.span, message)),
        }
        false
    }
}

/// Whether `ty` holds no reference but `&'static str`; complains if it does.
fn owns(ty: &Type, errors: &mut Errors) -> bool {
    struct References<'a>(&'a mut Errors);

    impl VisitMut for References<'_> {
        fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
            let is_static = reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static");
            if is_static && matches!(&*reference.elem, Type::Path(path) if path.path.is_ident("str")) {
                return;
            }
            self.0.at(
                reference,
                "a model owns its members: hold the value itself, share it with `Rc<…>`, \
                 or put `#[model(skip)]` on the field if it is configuration",
            );
        }

        // What a function takes is not held.
        fn visit_type_bare_fn_mut(&mut self, _: &mut TypeBareFn) {}

        fn visit_path_segment_mut(&mut self, segment: &mut syn::PathSegment) {
            if segment.ident != "PhantomData" {
                visit_mut::visit_path_segment_mut(self, segment);
            }
        }
    }

    let before = errors.count();
    References(errors).visit_type_mut(&mut ty.clone());
    errors.count() == before
}
