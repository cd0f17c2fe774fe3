use kiln_macros::model;

#[model]
enum Choice {
    A,
    B,
}

#[model]
union Bits {
    a: u32,
    b: f32,
}

#[model]
fn forward(x: f32) -> f32 {
    x
}

#[model]
trait Layer {}

#[model]
const WIDTH: usize = 1;

struct Net;

impl Net {
    #[model]
    fn forward(&self) {}
}

fn main() {}
