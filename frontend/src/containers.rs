//! Containers of modules: `Vec`, arrays, tuples, `Option`, `Box`, `Rc`, [`Named`] and [`Sequential`].
//!
//! A list is a module whose children are `0`, `1`, …, as in PyTorch's `ModuleList`, and its `forward` chains them in order.
//! The chains are plain loops: a closure would hide the caller's place from `#[track_caller]`.

mod hooked;

use std::borrow::Cow;
use std::panic::Location;
use std::rc::Rc;

pub use hooked::Hooked;

use crate::module::contributes_nothing;
use crate::{Forward, Member, Module, ModuleId, Scope, Tensor, Visitor};

/// A module from tensor to tensor, as a trait object: `Vec<Box<dyn Layer>>` holds layers of different types.
pub trait Layer: Module + Forward<Tensor, Output = Tensor> {}

impl<M: Module + Forward<Tensor, Output = Tensor>> Layer for M {}

/// A list of members with the names `0`, `1`, …: `Vec`, arrays and tuples.
pub trait Chain: Module {}

/// A chain of modules as one module: each gets the previous one's output.
///
/// The children are `0`, `1`, … unless [`Named`]:
///
/// ```
/// use kiln_frontend::{Buffer, Named, Sequential, state_dict};
///
/// let net = Sequential::new((Buffer::new([2], 0.0), Named::new("scale", Buffer::new([2], 1.0))));
/// let names: Vec<String> = state_dict(&net).into_iter().map(|entry| entry.name).collect();
/// assert_eq!(names, ["0", "scale"]);
/// ```
#[derive(Debug, Clone)]
pub struct Sequential<C> {
    /// The list of modules.
    pub children: C,
}

/// A [`Sequential`] whose length and layers are decided while the model is built.
pub type Layers = Sequential<Vec<Named<Box<dyn Layer>>>>;

/// There is no layer of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no layer `{name}`: the layers are {}", .names.join(", "))]
pub struct NoLayer {
    /// The name.
    pub name: String,
    /// Those that there are.
    pub names: Vec<String>,
}

/// A member that brings its own name, wherever it stands.
#[derive(Debug, Clone)]
pub struct Named<M> {
    /// The name in the `state_dict`.
    pub name: Cow<'static, str>,
    /// What has the name.
    pub member: M,
}

impl<C: Chain> Sequential<C> {
    /// Chains the elements of a tuple, `Vec` or array.
    pub fn new(children: C) -> Sequential<C> {
        Sequential { children }
    }
}

impl Layers {
    /// A chain without layers, the identity; add them with [`push`](Self::push).
    pub fn empty() -> Layers {
        Sequential { children: Vec::new() }
    }

    /// Adds a layer under its number.
    #[must_use]
    pub fn push(self, layer: impl Layer + 'static) -> Layers {
        let number = self.children.len().to_string();
        self.push_named(number, layer)
    }

    /// The number of layers.
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether there is no layer.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// The layers with their names, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &dyn Layer)> {
        self.children.iter().map(|child| (&*child.name, &*child.member))
    }

    /// Puts another layer in the place of the one of this name, or number: `model.classifier[6] = nn.Linear(4096, 10)`. Its neighbours are checked by the
    /// next trace.
    ///
    /// # Errors
    /// [`NoLayer`], with the names that there are.
    pub fn replace(&mut self, name: impl ToString, layer: impl Layer + 'static) -> Result<(), NoLayer> {
        let name = name.to_string();
        match self.children.iter_mut().find(|child| child.name == name) {
            Some(child) => {
                child.member = Box::new(layer);
                Ok(())
            }
            None => Err(NoLayer { name, names: self.iter().map(|(name, _)| name.to_owned()).collect() }),
        }
    }

    /// The layers before the one of this name, and those from it on, under the names that they have.
    ///
    /// # Errors
    /// [`NoLayer`], with the names that there are.
    pub fn split_off(&mut self, name: impl ToString) -> Result<Layers, NoLayer> {
        let name = name.to_string();
        match self.children.iter().position(|child| child.name == name) {
            Some(at) => Ok(Sequential { children: self.children.split_off(at) }),
            None => Err(NoLayer { name, names: self.iter().map(|(name, _)| name.to_owned()).collect() }),
        }
    }

    /// Adds a layer under `name`.
    #[must_use]
    pub fn push_named(mut self, name: impl Into<Cow<'static, str>>, layer: impl Layer + 'static) -> Layers {
        self.children.push(Named::new(name, Box::new(layer)));
        self
    }
}

impl<M> Named<M> {
    /// `member` under `name`.
    pub fn new(name: impl Into<Cow<'static, str>>, member: M) -> Named<M> {
        Named { name: name.into(), member }
    }
}

impl<C: Chain> Module for Sequential<C> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.children.visit(visitor);
    }
}

impl<Input, C: Chain + Forward<Input>> Forward<Input> for Sequential<C> {
    type Output = C::Output;

    #[track_caller]
    fn forward(&self, input: Input) -> C::Output {
        let _scope = Scope::enter(self);
        self.children.forward(input)
    }
}

impl<M: Member> Member for Named<M> {
    fn visit_as(&self, _place: &str, visitor: &mut dyn Visitor) {
        self.member.visit_as(&self.name, visitor);
    }
}

impl<Input, M: Forward<Input>> Forward<Input> for Named<M> {
    type Output = M::Output;

    #[track_caller]
    fn forward(&self, input: Input) -> M::Output {
        self.member.forward(input)
    }
}

/// `None` is the identity.
impl<Input, M: Forward<Input, Output = Input>> Forward<Input> for Option<M> {
    type Output = Input;

    #[track_caller]
    fn forward(&self, input: Input) -> Input {
        match self {
            Some(module) => module.forward(input),
            None => input,
        }
    }
}

macro_rules! list {
    ([$($size:tt)*] $list:ty) => {
        impl<M: Member $($size)*> Module for $list {
            fn visit(&self, visitor: &mut dyn Visitor) {
                for (index, member) in self.iter().enumerate() {
                    member.visit_as(&index.to_string(), visitor);
                }
            }

            fn is_empty_container(&self) -> bool {
                contributes_nothing(self)
            }
        }

        impl<M: Member $($size)*> Chain for $list {}

        impl<Input, M: Forward<Input, Output = Input> $($size)*> Forward<Input> for $list {
            type Output = Input;

            #[track_caller]
            fn forward(&self, input: Input) -> Input {
                let mut value = input;
                for module in self {
                    value = module.forward(value);
                }
                value
            }
        }
    };
}

list!([] Vec<M>);
list!([, const N: usize] [M; N]);

/// A pointer stands for what it points to: same members, same identity.
macro_rules! pointer {
    ($($pointer:ident),+) => {
        $(
            impl<M: Module + ?Sized> Module for $pointer<M> {
                fn visit(&self, visitor: &mut dyn Visitor) {
                    (**self).visit(visitor);
                }

                fn type_name(&self) -> &'static str {
                    (**self).type_name()
                }

                fn extra_repr(&self) -> String {
                    (**self).extra_repr()
                }

                fn peak_memory(&self) -> Option<(&'static str, &'static Location<'static>)> {
                    (**self).peak_memory()
                }

                fn module_id(&self) -> ModuleId {
                    (**self).module_id()
                }

                fn is_empty_container(&self) -> bool {
                    (**self).is_empty_container()
                }
            }

            // For one tensor only: generic over the input, it would come before the inherent `forward` of a module with
            // several inputs, and `shared.forward(query, key, value)` would not compile.
            impl<M: Forward<Tensor> + ?Sized> Forward<Tensor> for $pointer<M> {
                type Output = M::Output;

                #[track_caller]
                fn forward(&self, input: Tensor) -> M::Output {
                    (**self).forward(input)
                }
            }
        )+
    };
}

pointer!(Box, Rc);

/// One tuple: element `$M` at `.$index` maps `$from` to `$to`, the whole `I0` to `$last`.
macro_rules! tuple {
    ($last:ident; $(($M:ident $index:tt $from:ident $to:ident))+) => {
        impl<$($M: Member),+> Module for ($($M,)+) {
            fn visit(&self, visitor: &mut dyn Visitor) {
                $(self.$index.visit_as(stringify!($index), visitor);)+
            }

            fn is_empty_container(&self) -> bool {
                contributes_nothing(self)
            }
        }

        impl<$($M: Member),+> Chain for ($($M,)+) {}

        impl<I0, $($to,)+ $($M: Forward<$from, Output = $to>),+> Forward<I0> for ($($M,)+) {
            type Output = $last;

            #[track_caller]
            fn forward(&self, input: I0) -> $last {
                $(let input = self.$index.forward(input);)+
                input
            }
        }
    };
}

macro_rules! tuples {
    ([$($done:tt)*]) => {};
    ([$($done:tt)*] ($M:ident $index:tt $from:ident $to:ident) $($rest:tt)*) => {
        tuple!($to; $($done)* ($M $index $from $to));
        tuples!([$($done)* ($M $index $from $to)] $($rest)*);
    };
}

tuples! {
    [] (A 0 I0 I1) (B 1 I1 I2) (C 2 I2 I3) (D 3 I3 I4) (E 4 I4 I5) (F 5 I5 I6)
    (G 6 I6 I7) (H 7 I7 I8) (I 8 I8 I9) (J 9 I9 I10) (K 10 I10 I11) (L 11 I11 I12)
}
