//! What may be a field of a module, and what it contributes.

use std::marker::PhantomData;
use std::ops::{Range, RangeFrom, RangeInclusive, RangeTo};

use super::{Member, Module, Visitor};
use crate::{Buffer, Parameter};

impl<M: Module> Member for M {
    fn visit_as(&self, name: &str, visitor: &mut dyn Visitor) {
        if !self.is_empty_container() {
            visitor.child(name, self);
        }
    }
}

impl Member for Parameter {
    fn visit_as(&self, name: &str, visitor: &mut dyn Visitor) {
        visitor.parameter(name, self);
    }
}

impl Member for Buffer {
    fn visit_as(&self, name: &str, visitor: &mut dyn Visitor) {
        visitor.buffer(name, self);
    }
}

impl<T: Member> Member for Option<T> {
    fn visit_as(&self, name: &str, visitor: &mut dyn Visitor) {
        if let Some(member) = self {
            member.visit_as(name, visitor);
        }
    }
}

macro_rules! configuration {
    ($([$($generics:tt)*] $type:ty),+ $(,)?) => {
        $(#[diagnostic::do_not_recommend]
        impl<$($generics)*> Member for $type {
            fn visit_as(&self, _name: &str, _visitor: &mut dyn Visitor) {}
        })+
    };
}

configuration! {
    [] u8, [] u16, [] u32, [] u64, [] u128, [] usize, [] i8, [] i16, [] i32, [] i64, [] i128, [] isize, [] f32, [] f64,
    [] bool, [] char, [] String, [] &'static str, [] (),
    [T] Range<T>, [T] RangeInclusive<T>, [T] RangeFrom<T>, [T] RangeTo<T>, [T: ?Sized] PhantomData<T>,
    [R] fn() -> R, [A, R] fn(A) -> R, [A, B, R] fn(A, B) -> R,
}
