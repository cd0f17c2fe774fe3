//! A small front end behind the prefix `crate::kit`: tensors that remember the line of each op and scopes that remember
//! the module and the line of each call. So these tests see what the macro emits and nothing else.

use std::cell::RefCell;
use std::panic::Location;

pub use kiln_frontend::{Forward, Member, Module, Visitor};
use kiln_macros::model;

thread_local! {
    static OPEN: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    static RECORD: RefCell<Vec<(String, u32, u32)>> = const { RefCell::new(Vec::new()) };
}

/// A value without content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tensor;

/// An open module.
pub struct Scope;

/// A layer without parameters.
#[model(crate = crate::kit)]
#[derive(Clone)]
pub struct Linear;

impl Scope {
    #[track_caller]
    pub fn enter<M: Module>(module: &M) -> Scope {
        record(&format!("enter {}", module.type_name()));
        OPEN.with_borrow_mut(|open| open.push(module.type_name()));
        Scope
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        OPEN.with_borrow_mut(|open| open.pop());
    }
}

impl Tensor {
    #[track_caller]
    pub fn op(self, name: &str) -> Tensor {
        record(name);
        self
    }
}

impl Linear {
    /// As a layer of the library: its place is its caller's.
    #[track_caller]
    pub fn forward(&self, x: Tensor) -> Tensor {
        x.op("linear")
    }
}

impl Forward<Tensor> for Linear {
    type Output = Tensor;

    #[track_caller]
    fn forward(&self, x: Tensor) -> Tensor {
        Self::forward(self, x)
    }
}

/// What was recorded since the last call: `Net/Block linear`, its line and column.
pub fn take_record() -> Vec<(String, u32, u32)> {
    RECORD.take()
}

/// As `take_record`, without places.
pub fn take_names() -> Vec<String> {
    take_record().into_iter().map(|(name, ..)| name).collect()
}

#[track_caller]
fn record(what: &str) {
    let path = OPEN.with_borrow(|open| open.join("/"));
    let place = Location::caller();
    RECORD.with_borrow_mut(|it| {
        it.push((format!("{path} {what}").trim_start().to_owned(), place.line(), place.column()))
    });
}
