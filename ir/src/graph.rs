//! The graph level: typed values and the ops that make them, over petgraph, which stays private.
//!
//! One node has one result, so a node and its value are one thing. Order is deterministic everywhere: [`Graph::order`] is the
//! topological order that follows creation where it can.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;

use petgraph::Direction;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef;
use serde::{Deserialize, Serialize};

use crate::ops::{Input, Op};
use crate::{Diagnostic, Place, Type};

/// A value of a graph. Its text form is its name, which the graph knows; alone it prints as a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ValueId(NodeIndex);

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0.index())
    }
}

/// A value and the op that makes it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Unique in the graph.
    pub name: String,
    /// The op.
    pub op: Op,
    /// What `op.infer` says of the operands.
    pub ty: Type,
    /// Where the user wrote it.
    pub place: Place,
    /// The kernel that computes it, once `fuse` has decided; until then, and where the value is computed inside each of its users (fills,
    /// views), none.
    pub kernel: Option<String>,
    /// The axes in memory, the outermost first, where that is not their order here.
    pub layout: Option<Vec<usize>>,
    /// Whether it is computed a second time, so that the first result need not be kept: no pass may put the first in its place.
    pub again: bool,
}

impl Node {
    /// The axes in memory, the outermost first.
    pub fn memory_order(&self) -> Vec<usize> {
        self.layout.clone().unwrap_or_else(|| (0..self.ty.rank()).collect())
    }

    /// What the user called and where, for messages: `embedding at model.rs:12:9 in tokens`.
    pub fn site(&self) -> String {
        let name = self.place.method.as_deref().unwrap_or_else(|| self.op.name());
        if self.place.is_none() { name.to_owned() } else { format!("{name} at {}", self.place) }
    }
}

/// A value that leaves the graph.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Output {
    /// Unique among the outputs that are not updates.
    pub name: String,
    /// The value.
    pub value: ValueId,
    /// The input that the value replaces: state is a value in and a value out, and the planner makes it one buffer.
    pub updates: Option<ValueId>,
}

/// A tensor program: inputs, ops and outputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Graph {
    /// As in `lenet.train_step`.
    pub name: String,
    /// The bound of the batch size, if an input has a symbolic axis.
    pub max_batch: Option<usize>,
    outputs: Vec<Output>,
    dag: StableDiGraph<Node, u32>,
    /// Every name in use, with the number to try next when it is asked for again.
    names: BTreeMap<String, u32>,
}

impl Graph {
    /// An empty graph.
    pub fn new(name: impl Into<String>) -> Graph {
        Graph {
            name: name.into(),
            max_batch: None,
            outputs: Vec::new(),
            dag: StableDiGraph::new(),
            names: BTreeMap::new(),
        }
    }

    /// Adds an op. Its name comes from `hint`, or from the op, with a number when it is taken.
    pub fn add(
        &mut self,
        op: impl Into<Op>,
        operands: &[ValueId],
        hint: &str,
        place: &Place,
    ) -> Result<ValueId, Diagnostic> {
        let op = op.into();
        let types: Vec<Type> = operands.iter().map(|&operand| self.ty(operand).clone()).collect();
        let ty = op.infer(&types).map_err(|diagnostic| diagnostic.at(place.clone()))?;
        let name = self.unique_name(if hint.is_empty() { op.name() } else { hint });
        Ok(self.insert(Node { name, op, ty, place: place.clone(), kernel: None, layout: None, again: false }, operands))
    }

    /// Adds a node as it is: for the parser, which checks names and types itself.
    pub fn insert(&mut self, node: Node, operands: &[ValueId]) -> ValueId {
        self.names.entry(node.name.clone()).or_insert(1);
        let id = self.dag.add_node(node);
        for (position, operand) in operands.iter().enumerate() {
            self.dag.add_edge(operand.0, id, position as u32);
        }
        ValueId(id)
    }

    /// The node that makes a value.
    pub fn node(&self, value: ValueId) -> &Node {
        &self.dag[value.0]
    }

    /// The type of a value.
    pub fn ty(&self, value: ValueId) -> &Type {
        &self.dag[value.0].ty
    }

    /// The name of a value.
    pub fn name_of(&self, value: ValueId) -> &str {
        &self.dag[value.0].name
    }

    /// Renames a value; a number is added when the name is taken.
    pub fn rename(&mut self, value: ValueId, name: &str) {
        if self.name_of(value) != name {
            let name = self.unique_name(name);
            self.names.insert(name.clone(), 1);
            let old = std::mem::replace(&mut self.dag[value.0].name, name);
            self.names.remove(&old);
        }
    }

    /// Says how a value lies in memory.
    pub fn assign_layout(&mut self, value: ValueId, layout: Option<Vec<usize>>) {
        self.dag[value.0].layout = layout;
    }

    /// Says that a value is computed a second time.
    pub fn mark_again(&mut self, value: ValueId) {
        self.dag[value.0].again = true;
    }

    /// Says which kernel computes a value.
    pub fn assign_kernel(&mut self, value: ValueId, kernel: Option<String>) {
        self.dag[value.0].kernel = kernel;
    }

    /// Says what the user called where the value was made.
    pub fn set_method(&mut self, value: ValueId, method: &str) {
        self.dag[value.0].place.method = Some(method.into());
    }

    /// The operands of a value's op, in order.
    pub fn operands(&self, value: ValueId) -> Vec<ValueId> {
        let mut operands: Vec<(u32, ValueId)> = (self.dag.edges_directed(value.0, Direction::Incoming))
            .map(|edge| (*edge.weight(), ValueId(edge.source())))
            .collect();
        operands.sort();
        operands.into_iter().map(|(_, operand)| operand).collect()
    }

    /// The types of the operands.
    pub fn operand_types(&self, value: ValueId) -> Vec<Type> {
        self.operands(value).into_iter().map(|operand| self.ty(operand).clone()).collect()
    }

    /// The values that use this one, each once, oldest first. Outputs are not users.
    pub fn users(&self, value: ValueId) -> Vec<ValueId> {
        let users: BTreeSet<ValueId> = self.dag.neighbors(value.0).map(ValueId).collect();
        users.into_iter().collect()
    }

    /// Every value in a deterministic topological order: operands first, otherwise as created.
    pub fn order(&self) -> Vec<ValueId> {
        let mut waiting: BTreeMap<NodeIndex, usize> =
            self.dag.node_indices().map(|id| (id, self.dag.edges_directed(id, Direction::Incoming).count())).collect();
        let mut ready: BinaryHeap<Reverse<NodeIndex>> =
            waiting.iter().filter(|(_, operands)| **operands == 0).map(|(&id, _)| Reverse(id)).collect();
        let mut order = Vec::with_capacity(waiting.len());
        while let Some(Reverse(id)) = ready.pop() {
            order.push(ValueId(id));
            for edge in self.dag.edges(id) {
                if let Some(operands) = waiting.get_mut(&edge.target()) {
                    *operands -= 1;
                    if *operands == 0 {
                        ready.push(Reverse(edge.target()));
                    }
                }
            }
        }
        order
    }

    /// The inputs, oldest first, with what they are.
    pub fn inputs(&self) -> Vec<(ValueId, &Input)> {
        let input = |id: NodeIndex| match &self.dag[id].op {
            Op::Input(input) => Some((ValueId(id), input)),
            _ => None,
        };
        self.dag.node_indices().filter_map(input).collect()
    }

    /// The value of this name.
    pub fn find(&self, name: &str) -> Option<ValueId> {
        self.dag.node_indices().find(|&id| self.dag[id].name == name).map(ValueId)
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.dag.node_count()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The outputs, in the order they were added.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Adds an output.
    pub fn add_output(&mut self, name: impl Into<String>, value: ValueId) {
        self.outputs.push(Output { name: name.into(), value, updates: None });
    }

    /// Adds the new value of a piece of state.
    pub fn add_update(&mut self, input: ValueId, value: ValueId) {
        let name = self.name_of(input).to_owned();
        self.outputs.push(Output { name, value, updates: Some(input) });
    }

    /// Keeps only the outputs for which `keep` holds.
    pub fn retain_outputs(&mut self, keep: impl FnMut(&Output) -> bool) {
        self.outputs.retain(keep);
    }

    /// Makes every use of `from`, as an operand or an output, a use of `to`.
    pub fn replace_all_uses(&mut self, from: ValueId, to: ValueId) {
        let edges: Vec<_> = self.dag.edges(from.0).map(|edge| (edge.id(), edge.target(), *edge.weight())).collect();
        for (edge, user, position) in edges {
            self.dag.remove_edge(edge);
            self.dag.add_edge(to.0, user, position);
        }
        for output in self.outputs.iter_mut().filter(|output| output.value == from) {
            output.value = to;
        }
    }

    /// Makes one operand of a value another value of the same type.
    pub fn set_operand(&mut self, value: ValueId, position: usize, to: ValueId) {
        let edge = (self.dag.edges_directed(value.0, Direction::Incoming))
            .find(|edge| *edge.weight() as usize == position)
            .map(|edge| edge.id());
        if let Some(edge) = edge {
            self.dag.remove_edge(edge);
            self.dag.add_edge(to.0, value.0, position as u32);
        }
    }

    /// Removes a value that nothing uses.
    pub fn remove(&mut self, value: ValueId) {
        if let Some(node) = self.dag.remove_node(value.0) {
            self.names.remove(&node.name);
        }
    }

    /// The same graph with its values numbered in their order: equal to what its text reads back as, also in what passes make of it.
    pub fn compacted(&self) -> Graph {
        let mut graph = Graph::new(self.name.clone());
        graph.max_batch = self.max_batch;
        let mut numbers: BTreeMap<ValueId, ValueId> = BTreeMap::new();
        for value in self.order() {
            let operands: Vec<ValueId> = self.operands(value).iter().map(|operand| numbers[operand]).collect();
            numbers.insert(value, graph.insert(self.node(value).clone(), &operands));
        }
        let output = |output: &Output| Output {
            name: output.name.clone(),
            value: numbers[&output.value],
            updates: output.updates.map(|input| numbers[&input]),
        };
        graph.outputs = self.outputs.iter().map(output).collect();
        graph
    }

    /// Removes everything that no output needs; inputs stay, they are the graph's signature.
    pub fn remove_dead(&mut self) {
        let mut live: BTreeSet<ValueId> = BTreeSet::new();
        let mut pending: Vec<ValueId> = self.outputs.iter().map(|output| output.value).collect();
        while let Some(value) = pending.pop() {
            if live.insert(value) {
                pending.extend(self.operands(value));
            }
        }
        let dead = |id: &NodeIndex| !matches!(self.dag[*id].op, Op::Input(_)) && !live.contains(&ValueId(*id));
        for id in self.dag.node_indices().filter(dead).collect::<Vec<_>>() {
            self.remove(ValueId(id));
        }
    }

    fn unique_name(&mut self, base: &str) -> String {
        let Some(next) = self.names.get(base) else {
            return base.to_owned();
        };
        let free = (*next..).find(|number| !self.names.contains_key(&format!("{base}_{number}")));
        let number = free.expect("there are more numbers than values");
        self.names.insert(base.to_owned(), number + 1);
        format!("{base}_{number}")
    }
}

/// Equal as programs: the same values in order, the same names, ops, operands and outputs.
impl PartialEq for Graph {
    fn eq(&self, other: &Graph) -> bool {
        let shape = |graph: &Graph| -> Vec<(Node, Vec<String>)> {
            let names = |value| graph.operands(value).into_iter().map(|v| graph.name_of(v).to_owned()).collect();
            graph.order().into_iter().map(|value| (graph.node(value).clone(), names(value))).collect()
        };
        let outputs = |graph: &Graph| -> Vec<(String, String, Option<String>)> {
            let name = |value: ValueId| graph.name_of(value).to_owned();
            graph.outputs.iter().map(|o| (o.name.clone(), name(o.value), o.updates.map(name))).collect()
        };
        (&self.name, self.max_batch) == (&other.name, other.max_batch)
            && shape(self) == shape(other)
            && outputs(self) == outputs(other)
    }
}
