extern crate kiln_frontend as kiln;

use kiln_macros::model;

#[model]
struct Linear;

#[model]
struct Net {
    fc: Linear,
    #[model(name = "fc")]
    head: Linear,
    #[model(name = "out")]
    a: Linear,
    #[model(name = "out")]
    b: Linear,
}

#[model]
struct Pair(Linear, #[model(name = "0")] Linear);

fn main() {}
