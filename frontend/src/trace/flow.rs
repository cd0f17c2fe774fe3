//! Where gradients flow in a trace, and the trace of a derivative.

use std::collections::BTreeSet;

use kiln_ir::ops::Detach;
use kiln_ir::{Code, Diagnostic, Graph, Op, Place, Role, ValueId};

use super::{OPEN, Trace, with};

/// Runs `record` with a trace open that is no part of the open one, in its mode and at its module: for a derivative. `None` outside of a trace.
pub(crate) fn record_backward(record: impl FnOnce()) -> Option<Result<Graph, Vec<Diagnostic>>> {
    let (mode, scope) = with(|trace| (trace.mode, trace.scopes.last().cloned()))?;
    let mut trace = Trace::new("", mode, None);
    trace.is_backward = true;
    trace.scopes.extend(scope);
    let outer = OPEN.replace(Some(trace));
    record();
    let mut trace = OPEN.replace(outer).expect("nothing inside `record` closes the trace it opened");
    if trace.random.is_some() {
        let message = "a derivative needs to be the same in every pass: it draws no random numbers";
        let help = "draw them in the function itself, and return them as one more result";
        trace.note(Diagnostic::new(Code::BadArgument, message).help(help));
    }
    Some(trace.finish().map(|recorded| recorded.graph))
}

impl Trace {
    /// What stands for a value where no gradient flows.
    pub(super) fn still(&mut self, value: ValueId, place: &Place) -> ValueId {
        if !self.graph.ty(value).dtype.is_float() {
            return value;
        }
        if let Some(&still) = self.still.get(&value) {
            return still;
        }
        let detached = self.graph.add(Detach {}, &[value], "", place).expect("`detach` takes any tensor");
        self.still.extend([(value, detached), (detached, detached)]);
        detached
    }

    /// Makes a value one that gradients are asked of.
    pub(crate) fn mark(&mut self, value: ValueId) {
        self.marked.insert(value);
        self.still.remove(&value);
    }

    /// Whether gradients could flow from a value to one that they are asked of: a trained parameter or what is marked.
    pub(crate) fn requires_grad(&self, value: ValueId) -> bool {
        self.flows_to(value, |op| matches!(op, Op::Input(input) if input.role == Role::Parameter))
    }

    /// Whether gradients could flow from a value to some input.
    pub(crate) fn flows(&self, value: ValueId) -> bool {
        self.flows_to(value, |op| matches!(op, Op::Input(_)))
    }

    fn flows_to(&self, value: ValueId, is_end: impl Fn(&Op) -> bool) -> bool {
        let (mut seen, mut pending) = (BTreeSet::new(), vec![value]);
        while let Some(value) = pending.pop() {
            let node = self.graph.node(value);
            if !node.ty.dtype.is_float() || !seen.insert(value) {
                continue;
            }
            if self.marked.contains(&value) || is_end(&node.op) {
                return true;
            }
            if !matches!(node.op, Op::Detach(_)) {
                pending.extend(self.graph.operands(value));
            }
        }
        false
    }
}
