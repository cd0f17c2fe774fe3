use kiln_macros::model;

struct Net;

#[model]
impl Clone for Net {
    fn clone(&self) -> Net {
        Net
    }
}

fn main() {}
