//! What stands in the parentheses of `#[model(…)]`, on an item and on a field.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::parse::Parser;
use syn::{Attribute, Field, LitStr, Member, Path};

use crate::errors::Errors;

/// What `#[model(…)]` says about one field.
#[derive(Default)]
pub struct FieldOptions {
    /// The field is not a member.
    pub skip: bool,
    /// The name in the `state_dict`, where it is not the field's.
    pub name: Option<LitStr>,
}

/// What `#[model(…)]` says about a struct or an impl block.
pub struct ItemOptions {
    /// The path at which the emitted code finds `Module`, `Forward` and the rest: `::kiln`, or the one in `crate = path`.
    pub prefix: Path,
    /// The most memory that a program with the model may use. What is an amount of memory, the front end knows.
    pub peak_memory: Option<LitStr>,
}

/// Reads the attribute's arguments.
pub fn item_options(arguments: TokenStream, errors: &mut Errors) -> ItemOptions {
    let mut options = ItemOptions { prefix: syn::parse_quote!(::kiln), peak_memory: None };
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("crate") {
            options.prefix = meta.value()?.call(Path::parse_mod_style)?;
            return Ok(());
        }
        if meta.path.is_ident("peak_memory") {
            options.peak_memory = Some(meta.value()?.parse()?);
            return Ok(());
        }
        let help =
            if meta.path.is_ident("skip") || meta.path.is_ident("name") { "; that one is for fields" } else { "" };
        let known = "`crate = path` and, on a struct, `peak_memory = \"512 MiB\"`";
        Err(meta.error(format!("on a struct or an impl block, `#[model]` knows only {known}{help}")))
    });
    if let Err(error) = parser.parse2(arguments) {
        errors.push(error);
    }
    options
}

/// Takes the `#[model(…)]` attributes off the field and reads them.
pub fn take_field_options(field: &mut Field, errors: &mut Errors) -> FieldOptions {
    let (ours, others) = std::mem::take(&mut field.attrs).into_iter().partition(|it| it.path().is_ident("model"));
    field.attrs = others;
    let mut options = FieldOptions::default();
    for attribute in Vec::<Attribute>::from_iter(ours) {
        let result = attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("skip") {
                options.skip = true;
            } else if meta.path.is_ident("name") {
                let name: LitStr = meta.value()?.parse()?;
                check_name(&name)?;
                options.name = Some(name);
            } else {
                return Err(meta.error("on a field, `#[model]` knows only `skip` and `name = \"…\"`"));
            }
            Ok(())
        });
        if let Err(error) = result {
            errors.push(error);
        }
    }
    if let (true, Some(name)) = (options.skip, &options.name) {
        errors.at(name, "a field that is skipped has no name in the state_dict");
    }
    options
}

/// The name that a field has in the `state_dict` of its own.
pub fn default_name(member: &Member) -> LitStr {
    match member {
        Member::Named(ident) => LitStr::new(&ident.unraw().to_string(), ident.span()),
        Member::Unnamed(index) => LitStr::new(&index.index.to_string(), index.span),
    }
}

/// The `#[cfg(…)]` among the attributes: what is emitted for an item is there when the item is.
pub fn cfgs(attributes: &[Attribute]) -> Vec<&Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect()
}

fn check_name(name: &LitStr) -> syn::Result<()> {
    let value = name.value();
    if value.is_empty() {
        return Err(syn::Error::new(name.span(), "a name in the state_dict cannot be empty"));
    }
    if value.contains('.') {
        return Err(syn::Error::new(name.span(), "a name in the state_dict cannot contain `.`, which joins the names"));
    }
    Ok(())
}
