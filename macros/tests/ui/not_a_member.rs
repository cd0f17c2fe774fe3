use kiln_macros::model;

mod contract {
    pub struct Tensor;
    pub struct Scope;
    impl Scope {
        pub fn enter<M: Module>(_: &M) -> Scope {
            Scope
        }
    }
    pub trait Visitor {}
    #[diagnostic::on_unimplemented(message = "`{Self}` is not a model", label = "not a model")]
    pub trait Module {
        fn visit(&self, visitor: &mut dyn Visitor);
    }
    #[diagnostic::on_unimplemented(message = "`{Self}` cannot be a field of a `#[model]`", label = "not a model")]
    pub trait Member {
        fn visit_as(&self, name: &str, visitor: &mut dyn Visitor);
    }
    impl<M: Module> Member for M {
        fn visit_as(&self, _: &str, _: &mut dyn Visitor) {}
    }
    pub trait Forward<Input> {
        type Output;
        fn forward(&self, input: Input) -> Self::Output;
    }
}

struct Note;

#[model(crate = crate::contract)]
struct Linear;

#[model(crate = crate::contract)]
struct Net {
    fc: Linear,
    note: Note,
}

fn main() {}
