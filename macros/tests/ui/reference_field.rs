extern crate kiln_frontend as kiln;

use kiln_macros::model;

#[model]
struct Linear;

#[model]
struct Net<'a> {
    a: &'a Linear,
    b: Vec<&'static Linear>,
    label: &'static str,
    #[model(skip)]
    c: &'a Linear,
}

fn main() {}
