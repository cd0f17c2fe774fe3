//! The attributes: `#[model]`, by which a struct becomes a module and its `forward` a module's, and `#[custom_vjp]`, which gives a function a derivative
//! of its own.
//!
//! This crate knows no op and no layer: it emits paths to the traits of the frontend.
#![forbid(unsafe_code)]

mod calls;
mod custom_vjp;
mod errors;
mod forward;
mod impls;
mod options;
mod structs;

use proc_macro2::TokenStream;
use quote::quote;
use syn::Item;

use crate::errors::Errors;
use crate::options::ItemOptions;

/// Makes a struct a model. It goes on the struct and on the impl block with its `forward`:
///
/// ```
/// # extern crate kiln_frontend as kiln;
/// # use kiln::{Initializer, Parameter, Tensor};
/// # use kiln_macros::model;
/// # #[model] struct Conv2d { weight: Parameter }
/// # #[model] impl Conv2d {
/// #     fn new(i: usize, o: usize, k: usize) -> Self { Conv2d { weight: Parameter::new([o, i, k, k], Initializer::Zeros) } }
/// #     fn forward(&self, x: Tensor) -> Tensor { x }
/// # }
/// #[model]
/// struct Block {
///     conv1: Conv2d,
///     conv2: Conv2d,
///     downsample: Option<Conv2d>,
/// }
///
/// #[model]
/// impl Block {
///     fn new(from: usize, to: usize) -> Self {
///         Block {
///             conv1: Conv2d::new(from, to, 3),
///             conv2: Conv2d::new(to, to, 3),
///             downsample: (from != to).then(|| Conv2d::new(from, to, 1)),
///         }
///     }
///
///     fn forward(&self, x: Tensor) -> Tensor {
///         let h = self.conv1(x).relu();
///         (self.conv2(h) + self.downsample(x)).relu()
///     }
/// }
///
/// #[model]
/// struct Net {
///     stem: Conv2d,
///     layers: Vec<Block>,
/// }
///
/// #[model]
/// impl Net {
///     fn forward(&self, x: Tensor) -> Tensor {
///         self.layers(self.stem(x))
///     }
/// }
///
/// # fn main() {
/// let net = Net { stem: Conv2d::new(3, 16, 7), layers: vec![Block::new(16, 16), Block::new(16, 32)] };
/// let names: Vec<String> = kiln::state_dict(&net).into_iter().map(|entry| entry.name).collect();
/// assert_eq!(names[0], "stem.weight");
/// assert_eq!(names[5], "layers.1.downsample.weight");
/// # }
/// ```
///
/// # On a struct
///
/// Each field is a member of the module under its own name, and the names are those of PyTorch's `state_dict`. A field may be
///
/// | type | contributes |
/// |---|---|
/// | `Parameter`, `Buffer` | itself |
/// | any model or layer `M`, `Box<M>`, `Rc<M>` | a child; an `Rc` in two fields is one module with shared weights |
/// | `Vec<T>`, `[T; N]`, tuples | a child with the children `0`, `1`, … |
/// | `Option<T>` | what it holds; nothing for `None` |
/// | numbers, `bool`, `char`, `String`, `&'static str`, ranges, `PhantomData`, function pointers | nothing |
///
/// Two attributes change that:
///
/// * `#[model(skip)]`: the field contributes nothing and may have any type.
/// * `#[model(name = "fc")]`: the field has this name in the `state_dict`.
///
/// `#[model(peak_memory = "512 MiB")]` on the struct is a contract: a program with this model uses no more memory, its weights and optimiser state
/// included. What does not fit is computed again in the backward pass; if that is not enough, the build fails at this line.
///
/// Type parameters are bound as the fields need it: `struct Residual<M> { body: M }` is a model if `M` is one. Its impl block
/// says the same: `impl<M: Layer> Residual<M>`.
///
/// The struct itself is left as it is; this is added:
///
/// ```text
/// impl ::kiln::Module for Block {
///     fn visit(&self, visitor: &mut dyn ::kiln::Visitor) {
///         { <Conv2d as ::kiln::Member>::visit_as(&self.conv1, "conv1", visitor); }
///         { <Conv2d as ::kiln::Member>::visit_as(&self.conv2, "conv2", visitor); }
///         { <Option<Conv2d> as ::kiln::Member>::visit_as(&self.downsample, "downsample", visitor); }
///     }
/// }
/// ```
///
/// # On an impl block
///
/// **Calls.** In every method with a `self`, `self.conv1(x)` means `self.conv1.forward(x)`; also in closures and in the arguments
/// of the standard library's macros (`vec!`, `assert!`, `format!`, …). Left alone are:
///
/// * methods of the same impl block: `self.encode(x)` calls the method `encode` if this block defines it;
/// * the methods of common traits, such as `self.clone()`;
/// * calls of anything but `self`: a list is indexed as in `self.layers[0].forward(x)`, an unnamed field called as in
///   `self.0.forward(x)`, a function pointer as in `(self.activation)(x)`.
///
/// An attribute cannot see other impl blocks: call a method of another block, or of another trait, by its path:
/// `Self::encode(self, x)`.
///
/// **`forward`.** It takes `&self` and one or more named inputs, and returns its output by value. Errors are not returned: the
/// trace reports all of them at once, at the lines of the ops. While its body runs, the trace knows the module's path, and
/// each op knows its own line. `Forward` is implemented from it, so that the model chains in a `Vec`, a tuple or a
/// `Sequential`; several inputs become a tuple.
///
/// ```text
/// impl Block {
///     #[track_caller]                                  // the scope learns which line called this block …
///     fn forward(&self, x: Tensor) -> Tensor {
///         let _scope = ::kiln::Scope::enter(self);
///         (|| -> Tensor {                              // … and a closure keeps the lines of the body
///             use ::kiln::Forward as _;
///             let h = self.conv1.forward(x).relu();
///             (self.conv2.forward(h) + self.downsample.forward(x)).relu()
///         })()
///     }
/// }
///
/// impl ::kiln::Forward<Tensor> for Block {
///     type Output = Tensor;
///
///     #[track_caller]
///     fn forward(&self, input0: Tensor) -> Tensor {
///         Self::forward(self, input0)
///     }
/// }
/// ```
///
/// # The path to Kiln
///
/// The emitted code finds `Module`, `Member`, `Visitor`, `Forward` and `Scope` in `::kiln`. If the crate has another name
/// there, or re-exports them elsewhere, say so on both: `#[model(crate = my_framework::kiln)]`.
#[proc_macro_attribute]
pub fn model(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let mut errors = Errors::default();
    let options = options::item_options(arguments.into(), &mut errors);
    let item = expand(item.into(), &options, &mut errors);
    quote!(#item #errors).into()
}

/// Gives a function a derivative of its own: `torch.autograd.Function`. The derivative is another function, by name:
///
/// ```
/// # extern crate kiln_frontend as kiln;
/// # use kiln::{Tensor, autograd::Saved};
/// # use kiln_macros::custom_vjp;
/// #[custom_vjp(backward = mm_backward)]
/// fn my_mm(a: Tensor, b: Tensor) -> Tensor {
///     a.matmul(b)
/// }
///
/// fn mm_backward(saved: Saved<2>, cotangent: Tensor) -> [Tensor; 2] {
///     let [a, b] = saved.inputs;
///     [cotangent.matmul(b.t()), a.t().matmul(cotangent)]
/// }
/// # fn main() {}
/// ```
///
/// Each argument of type `Tensor` is an input and has its own gradient. All others are configuration, which the derivative is given (by `Clone`)
/// after the cotangent: `fn backward(saved: Saved<1>, cotangent: Tensor, limit: f64) -> Tensor`. A function that returns a tuple or an array of
/// tensors has a derivative of `Saved<N, (Tensor, Tensor)>` and `(Tensor, Tensor)`. The derivative returns an array or a tuple of as many `Tensor`s
/// or `Option<Tensor>`s as there are inputs, or, for a single input, one without brackets.
///
/// The function is not generic over its tensors and has no `self`: what a module holds is given to it as a tensor. For closures there is the function
/// `kiln::custom_vjp`, which says more about what a derivative may do. As with `#[model]`, `crate = path` names Kiln where it is not `::kiln`.
#[proc_macro_attribute]
pub fn custom_vjp(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let mut errors = Errors::default();
    let item = custom_vjp::expand(arguments.into(), item.into(), &mut errors);
    quote!(#item #errors).into()
}

/// The item is emitted whatever happens, so that the editor goes on working and one mistake does not become many.
fn expand(tokens: TokenStream, options: &ItemOptions, errors: &mut Errors) -> TokenStream {
    const USE: &str = "`#[model]` goes on a struct and on its impl block";
    match syn::parse2::<Item>(tokens.clone()) {
        Ok(Item::Struct(item)) => return structs::expand(item, options, errors),
        Ok(Item::Impl(item)) => {
            if let Some(limit) = &options.peak_memory {
                errors.at(limit, "`peak_memory` is for the struct");
            }
            return impls::expand(item, &options.prefix, errors);
        }
        Ok(Item::Enum(item)) => errors.at(
            item.enum_token,
            format!("{USE}; a choice between modules is a struct with an `Option` for each, or a `Box<dyn Layer>`"),
        ),
        Ok(Item::Union(item)) => errors.at(item.union_token, USE),
        Ok(Item::Fn(item)) => errors.at(item.sig.fn_token, format!("{USE}, not on a function")),
        Ok(Item::Trait(item)) => errors.at(item.trait_token, USE),
        Ok(item) => errors.at(item, USE),
        Err(error) => errors.push(error),
    }
    tokens
}
