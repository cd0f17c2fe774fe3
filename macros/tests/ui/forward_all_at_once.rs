extern crate kiln_frontend as kiln;

use kiln::Tensor;
use kiln_macros::model;

#[model]
struct A;

#[model]
impl A {
    async fn forward(&mut self, (a, _b): (Tensor, Tensor)) -> Result<Tensor, ()> {
        Ok(a)
    }
}

fn main() {}
