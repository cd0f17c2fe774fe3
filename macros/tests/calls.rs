//! What `#[model]` makes of an impl block: calls of fields, places, scopes and `Forward`.

#![allow(dead_code, clippy::useless_vec)]

mod kit;

use std::rc::Rc;

use kiln_macros::model;
use kit::{Forward, Linear, Tensor, take_names, take_record};

/// The line of this file that ends with `// line: NAME`.
fn line_of(name: &str) -> u32 {
    let end = format!("// line: {name}");
    let before = include_str!("calls.rs").lines().take_while(|line| !line.ends_with(&end)).count();
    before as u32 + 1
}

#[model(crate = crate::kit)]
struct Block {
    fc: Linear,
}

#[model(crate = crate::kit)]
impl Block {
    fn forward(&self, x: Tensor) -> Tensor {
        let h = self.fc(x); // line: fc
        h.op("relu") // line: relu
    }
}

#[model(crate = crate::kit)]
struct Net {
    stem: Linear,
    block: Block,
}

#[model(crate = crate::kit)]
impl Net {
    fn forward(&self, x: Tensor) -> Tensor {
        self.block(self.stem(x)) // line: net
    }
}

#[test]
fn ops_have_the_line_of_the_body_and_scopes_the_line_of_the_call() {
    let net = Net { stem: Linear, block: Block { fc: Linear } };
    let line = line!() + 1;
    let _ = net.forward(Tensor);
    let expected = [
        ("enter Net", line, 17),
        ("Net linear", line_of("net"), 25),
        ("Net enter Block", line_of("net"), 14),
        ("Net/Block linear", line_of("fc"), 22),
        ("Net/Block relu", line_of("relu"), 11),
    ];
    assert_eq!(take_record(), expected.map(|(name, line, column)| (name.to_owned(), line, column)));
}

#[test]
fn places_survive_the_trait_and_the_containers() {
    let line = line!() + 1;
    let _ = (vec![Block { fc: Linear }], [Some(Linear)], None::<Linear>).forward(Tensor);
    let expected =
        [("enter Block", line), ("Block linear", line_of("fc")), ("Block relu", line_of("relu")), ("linear", line)]
            .map(|it| (it.0.to_owned(), it.1));
    assert_eq!(take_record().into_iter().map(|(name, line, _)| (name, line)).collect::<Vec<_>>(), expected);
}

#[test]
fn places_survive_a_trait_object() {
    let layer: Box<dyn Forward<Tensor, Output = Tensor>> = Box::new(Linear);
    let line = line!() + 1;
    let _ = layer.as_ref().forward(Tensor);
    assert_eq!(take_record()[0].1, line);
}

#[model(crate = crate::kit)]
#[derive(Clone)]
struct Everywhere {
    a: Linear,
    b: Vec<Linear>,
    shared: Rc<Linear>,
    activation: fn(Tensor) -> Tensor,
}

#[model(crate = crate::kit)]
impl Everywhere {
    const NAME: &str = "everywhere";

    fn new() -> Self {
        let a = Linear;
        Everywhere { a: a.clone(), b: vec![a], shared: Rc::new(Linear), activation: |x| x.op("activation") }
    }

    fn forward(&self, mut x: Tensor) -> Tensor {
        let twice = |x: Tensor| self.a(self.a(x));
        x = twice(x);
        for value in vec![self.a(x), self.b(x)] {
            assert_eq!(value, self.shared(x), "{} {value:?}", Self::NAME);
        }
        let [x, ..] = *vec![self.a(x); 2] else { return x };
        if format!("{:?}", self.helper(x, 1)).is_empty() {
            return x;
        }
        (self.activation)(x)
    }

    fn helper(&self, x: Tensor, times: usize) -> Tensor {
        fn inner(x: Tensor) -> Tensor {
            struct Other;
            impl Other {
                fn a(&self, x: Tensor) -> Tensor {
                    x.op("other")
                }
                fn call(&self, x: Tensor) -> Tensor {
                    self.a(x)
                }
            }
            Other.call(x)
        }
        (0..times).fold(inner(x), |x, _| self.clone().a.forward(x))
    }
}

#[test]
fn calls_are_found_in_closures_and_macros_but_not_in_inner_items() {
    let _ = Everywhere::new().forward(Tensor);
    let mut expected = vec!["enter Everywhere"];
    expected.extend(["Everywhere linear"; 4]); // twice, then the `vec!`
    expected.extend(["Everywhere linear"; 2]); // the two assertions
    expected.extend(["Everywhere linear"; 1]); // once for `vec![_; 2]`
    expected.extend(["Everywhere other", "Everywhere linear", "Everywhere activation"]);
    assert_eq!(take_names(), expected);
}

#[model(crate = crate::kit)]
struct Attention<M> {
    project: M,
}

#[model(crate = crate::kit)]
impl<M: Forward<Tensor, Output = Tensor> + kit::Module> Attention<M> {
    /// Several inputs, an early return, and a generic layer.
    fn forward(&self, query: Tensor, key: &Tensor, heads: usize) -> (Tensor, Tensor) {
        if heads == 0 {
            return (query, *key);
        }
        (self.project(query), self.project(*key))
    }
}

#[model(crate = crate::kit)]
struct Encoder {
    attention: Rc<Attention<(Linear, Linear)>>,
}

#[model(crate = crate::kit)]
impl Encoder {
    fn forward(&self, x: Tensor) -> Tensor {
        self.attention(x, &x, 2).0
    }
}

#[test]
fn several_inputs_are_a_tuple() {
    let attention = Attention { project: Linear };
    assert_eq!(Forward::forward(&attention, (Tensor, &Tensor, 1)), (Tensor, Tensor));
    assert_eq!(take_names(), ["enter Attention", "Attention linear", "Attention linear"]);
    let encoder = Encoder { attention: Rc::new(Attention { project: (Linear, Linear) }) };
    let _ = Forward::forward(&encoder, Tensor);
    assert_eq!(take_names().len(), 6);
}

#[model(crate = crate::kit)]
struct Coder {
    first: Linear,
    second: Linear,
}

#[model(crate = crate::kit)]
impl Coder {
    fn encode(&self, x: Tensor) -> Tensor {
        self.first(x) // line: first
    }

    #[track_caller]
    fn forward(&self, x: Tensor) -> Tensor {
        Self::decode(self, self.encode(x))
    }
}

#[model(crate = crate::kit)]
impl Coder {
    #[track_caller]
    fn decode(&self, x: Tensor) -> Tensor {
        self.second(x)
    }

    fn again(&self, x: Tensor) -> Tensor {
        self.forward(x)
    }
}

#[test]
fn methods_of_the_block_are_methods_and_an_explicit_track_caller_is_kept() {
    let coder = Coder { first: Linear, second: Linear };
    let line = line!() + 1;
    let _ = coder.forward(Tensor);
    let lines: Vec<u32> = take_record().into_iter().map(|(_, line, _)| line).collect();
    assert_eq!(lines, [line, line_of("first"), line]);
    let _ = coder.again(Tensor);
    assert_eq!(take_names().len(), 3);
}

#[model(crate = crate::kit)]
struct Pair<A, B>(A, B);

#[model(crate = crate::kit)]
impl<A, B> Pair<A, B> {
    /// The input's type is a parameter of the method.
    fn forward<T>(&self, x: T) -> B::Output
    where
        A: Forward<T> + kit::Module,
        B: Forward<A::Output> + kit::Module,
    {
        self.1.forward(self.0.forward(x))
    }
}

#[test]
fn forward_may_be_generic() {
    let pairs = Pair(Linear, Pair(Linear, Block { fc: Linear }));
    assert_eq!(Forward::forward(&pairs, Tensor), Tensor);
    assert_eq!(take_names()[..3], ["enter Pair", "Pair linear", "Pair enter Pair"]);
}
