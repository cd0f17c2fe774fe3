//! Call sugar: `self.conv1(x)` becomes `self.conv1.forward(x)`.
//!
//! Rust never reads `self.name(…)` as a call of a field, so such a call either names a method or is ours. An attribute sees
//! one item: it knows the methods of this impl block and, by name, those of common traits; everything else is taken for
//! a field. The new tokens have the span of the name that the user wrote, so that errors and `#[track_caller]` point there.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::visit_mut::{self, VisitMut};
use syn::{Block, Expr, ExprField, ExprMethodCall, Ident, Item, Macro, Member, Path, Token};

/// Methods of traits that a model may well have.
const TRAIT_METHODS: [&str; 23] = [
    "as_mut",
    "as_ref",
    "borrow",
    "borrow_mut",
    "clone",
    "clone_from",
    "cmp",
    "deref",
    "eq",
    "fmt",
    "forward",
    "hash",
    "into",
    "module_id",
    "ne",
    "partial_cmp",
    "to_owned",
    "to_string",
    "try_into",
    "type_id",
    "type_name",
    "visit",
    "visit_as",
];

/// Macros of the standard library whose arguments are expressions.
const EXPRESSION_MACROS: [&str; 20] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "dbg",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "eprint",
    "eprintln",
    "format",
    "format_args",
    "matches",
    "panic",
    "print",
    "println",
    "todo",
    "unreachable",
    "vec",
    "write",
    "writeln",
];

/// Rewrites the calls in the body of a method with `self`, where `methods` are those of its impl block.
pub fn rewrite(body: &mut Block, methods: &BTreeSet<String>, prefix: &Path) {
    let mut calls = Calls { methods, found: false };
    calls.visit_block_mut(body);
    if calls.found {
        // The `forward` of lists and tuples is the trait's, and the user need not have imported it.
        body.stmts.insert(0, syn::parse_quote!(#[allow(unused_imports)] use #prefix::Forward as _;));
    }
}

struct Calls<'a> {
    methods: &'a BTreeSet<String>,
    found: bool,
}

impl Calls<'_> {
    fn is_field_call(&self, call: &ExprMethodCall) -> bool {
        let name = call.method.to_string();
        matches!(&*call.receiver, Expr::Path(path) if path.path.is_ident("self"))
            && call.turbofish.is_none()
            && !self.methods.contains(&name)
            && !TRAIT_METHODS.contains(&name.as_str())
    }
}

impl VisitMut for Calls<'_> {
    fn visit_expr_method_call_mut(&mut self, call: &mut ExprMethodCall) {
        visit_mut::visit_expr_method_call_mut(self, call);
        if !self.is_field_call(call) {
            return;
        }
        self.found = true;
        let span = call.method.span();
        let field = std::mem::replace(&mut call.method, Ident::new("forward", span));
        let dot_token = std::mem::replace(&mut call.dot_token, Token![.](span));
        let base = std::mem::replace(&mut call.receiver, Box::new(Expr::PLACEHOLDER));
        let member = Member::Named(field);
        *call.receiver = Expr::Field(ExprField { attrs: Vec::new(), base, dot_token, member });
    }

    fn visit_macro_mut(&mut self, call: &mut Macro) {
        let is_known =
            call.path.segments.last().is_some_and(|last| EXPRESSION_MACROS.contains(&&*last.ident.to_string()));
        if !is_known {
            return;
        }
        let parse = |input: ParseStream| MacroArguments::parse(input);
        let Ok(mut arguments) = parse.parse2(call.tokens.clone()) else { return };
        let found_before = std::mem::take(&mut self.found);
        arguments.expressions().for_each(|expression| self.visit_expr_mut(expression));
        if self.found {
            call.tokens = arguments.to_token_stream();
        }
        self.found |= found_before;
    }

    // The `self` of an item inside the body is another one.
    fn visit_item_mut(&mut self, _: &mut Item) {}
}

/// `a, b, c` or, in `vec!`, `value; count`.
enum MacroArguments {
    List(Punctuated<Expr, Token![,]>),
    Repeat(Box<(Expr, Token![;], Expr)>),
}

impl MacroArguments {
    fn parse(input: ParseStream) -> syn::Result<MacroArguments> {
        let ahead = input.fork();
        if ahead.parse::<Expr>().is_ok() && ahead.peek(Token![;]) {
            return Ok(MacroArguments::Repeat(Box::new((input.parse()?, input.parse()?, input.parse()?))));
        }
        Ok(MacroArguments::List(Punctuated::parse_terminated(input)?))
    }

    fn expressions(&mut self) -> Box<dyn Iterator<Item = &mut Expr> + '_> {
        match self {
            MacroArguments::List(list) => Box::new(list.iter_mut()),
            MacroArguments::Repeat(repeat) => Box::new([&mut repeat.0, &mut repeat.2].into_iter()),
        }
    }

    fn to_token_stream(&self) -> TokenStream {
        match self {
            MacroArguments::List(list) => list.to_token_stream(),
            MacroArguments::Repeat(repeat) => {
                let (value, semicolon, count) = &**repeat;
                quote!(#value #semicolon #count)
            }
        }
    }
}
