extern crate kiln_frontend as kiln;

use kiln_macros::model;

#[model(crate = kiln, strict)]
struct A;

#[model(name = "net")]
struct B;

#[model]
struct C {
    #[model(rename = "fc")]
    a: usize,
    #[model(name = "")]
    b: usize,
    #[model(name = "layer.0")]
    c: usize,
    #[model(name = 3)]
    d: usize,
    #[model(skip, name = "e")]
    e: usize,
    #[model = "f"]
    f: usize,
}

fn main() {}
