//! Sums of products over labelled axes: `einsum`, and under it the one way in which every product is made.
//!
//! The IR multiplies two operands at a time and sums only labels that both have. The rest is views: a repeated label is a diagonal, an axis
//! of extent 1 that another operand has longer is dropped, and a label of one operand alone is summed before the product.

use kiln_ir::ops;
use kiln_ir::{Code, Diagnostic, Dim};

use crate::Tensor;

/// A tensor with a label for each axis.
#[derive(Clone, Debug)]
pub(crate) struct Labelled {
    tensor: Tensor,
    labels: Vec<char>,
}

/// `Σ a·b·…` over the labels that the result lacks, as NumPy and PyTorch write it: `einsum("bhqd,bhkd->bhqk", &[q, k])`.
///
/// Labels are letters; spaces do not count. `...` stands for any leading, inner or last axes, which broadcast; so do labelled axes of
/// extent 1. A label that an operand repeats takes its diagonal. Without `->` the result has the axes of `...`, then every label that
/// occurs once, in the order of the alphabet (capitals first). Operands have one dtype; they are multiplied pairwise from left to right,
/// and half types are summed in f32. K0105: an equation that is malformed or is for another number of operands; K0102: a term of another
/// rank than its operand; K0101: extents of a label that differ. Gradient: for each operand the einsum of the cotangent and the others.
#[track_caller]
pub fn einsum(equation: &str, operands: &[Tensor]) -> Tensor {
    if operands.iter().any(|operand| operand.value().is_none()) {
        return Tensor::poison();
    }
    let (terms, out) = match parse(equation, operands) {
        Ok(parsed) => parsed,
        Err(diagnostic) => return Tensor::mistake(diagnostic),
    };
    let mut labelled = Vec::with_capacity(operands.len());
    for (&tensor, labels) in operands.iter().zip(terms) {
        labelled.push(Labelled { tensor, labels }.diagonals());
    }
    contract("einsum", &labelled, &out)
}

/// The product of all operands, summed over the labels that `out` lacks. Extents of a label are equal or 1.
#[track_caller]
pub(crate) fn contract(method: &str, operands: &[Labelled], out: &[char]) -> Tensor {
    let Some((first, rest)) = operands.split_first() else {
        return Tensor::mistake(Diagnostic::new(Code::BadArgument, format!("{method} needs at least one operand")));
    };
    let mut product = first.clone();
    for (at, operand) in rest.iter().enumerate() {
        let later = rest[at + 1..].iter().flat_map(|term| &term.labels);
        let kept: Vec<char> = out.iter().chain(later).copied().collect();
        product = product.times(method, operand, &kept);
    }
    product.summed(out).arranged(method, out)
}

impl Labelled {
    /// Leading axes that broadcast, and after them the axes of `labels`.
    pub(crate) fn batched(tensor: Tensor, labels: &str) -> Labelled {
        let leading = tensor.rank().saturating_sub(labels.len());
        Labelled { tensor, labels: broadcast_labels(leading).chain(labels.chars()).collect() }
    }

    /// The labels, in the order of the axes.
    pub(crate) fn labels(&self) -> &[char] {
        &self.labels
    }

    fn extent(&self, label: char) -> Option<Dim> {
        let axis = self.labels.iter().position(|&held| held == label)?;
        self.tensor.shape().0.get(axis).copied()
    }

    /// Each label once: axes of equal label become their diagonal.
    #[track_caller]
    fn diagonals(mut self) -> Labelled {
        while let Some((a, b)) = repeated(&self.labels) {
            let shape = self.tensor.shape();
            let Some(extent) = shape.0[a].as_fixed().filter(|_| shape.0[a] == shape.0[b]) else {
                let message = format!(
                    "einsum needs equal constant extents for a diagonal: `{}` of {shape} has {} and {}",
                    self.labels[a], shape.0[a], shape.0[b]
                );
                self.tensor = Tensor::mistake(Diagnostic::new(Code::ShapeMismatch, message));
                return self;
            };
            let others: Vec<usize> = (0..shape.rank()).filter(|&axis| axis != a && axis != b).collect();
            let dims = [others.as_slice(), &[a, b]].concat();
            let mut square: Vec<Dim> = others.iter().map(|&axis| shape.0[axis]).collect();
            square.push(Dim::fixed(extent * extent));
            let slice = ops::Slice { axis: others.len(), start: 0, length: extent, step: extent + 1 };
            let moved = Tensor::apply_as("einsum", ops::Permute { dims }, &[self.tensor]);
            let flat = Tensor::apply_as("einsum", ops::Reshape { shape: square }, &[moved]);
            self.tensor = Tensor::apply_as("einsum", slice, &[flat]);
            let label = self.labels[a];
            self.labels = others.iter().map(|&axis| self.labels[axis]).chain([label]).collect();
        }
        self
    }

    /// Summed over the labels that are not kept.
    #[track_caller]
    fn summed(&self, kept: &[char]) -> Labelled {
        let axes: Vec<usize> = (0..self.labels.len()).filter(|&axis| !kept.contains(&self.labels[axis])).collect();
        if axes.is_empty() {
            return self.clone();
        }
        let labels = self.labels.iter().filter(|label| kept.contains(label)).copied().collect();
        Labelled { tensor: Tensor::apply(ops::Sum { axes, keep: false }, &[self.tensor]), labels }
    }

    /// Without the axes of extent 1 that `other` has in another extent.
    #[track_caller]
    fn without_ones(&self, other: &Labelled) -> Labelled {
        let differs = |label: char| other.extent(label).is_some_and(|extent| extent != Dim::ONE);
        let stays = |label: char| self.extent(label) != Some(Dim::ONE) || !differs(label);
        let labels: Vec<char> = self.labels.iter().copied().filter(|&label| stays(label)).collect();
        if labels.len() == self.labels.len() {
            return self.clone();
        }
        let shape = labels.iter().filter_map(|&label| self.extent(label)).collect();
        Labelled { tensor: Tensor::apply(ops::Reshape { shape }, &[self.tensor]), labels }
    }

    /// The product with another, summed over the labels that are not kept; the batch axis comes first, then the order is that of `kept`.
    #[track_caller]
    fn times(&self, method: &str, other: &Labelled, kept: &[char]) -> Labelled {
        let (a, b) = (self.without_ones(other), other.without_ones(self));
        let a = a.summed(&[kept, b.labels.as_slice()].concat());
        let b = b.summed(&[kept, a.labels.as_slice()].concat());
        let mut all = a.labels.clone();
        all.extend(b.labels.iter().filter(|label| !a.labels.contains(label)));
        let mut labels: Vec<char> = all.iter().copied().filter(|label| kept.contains(label)).collect();
        let is_batch = |label| a.extent(label).or(b.extent(label)).is_some_and(|extent| extent.batch);
        labels.sort_by_key(|label| (!is_batch(*label), kept.iter().position(|held| held == label)));
        let letters = |term: &[char]| -> String {
            let letter =
                |label: &char| all.iter().zip('a'..='z').find(|(held, _)| *held == label).map(|(_, letter)| letter);
            term.iter().filter_map(letter).collect()
        };
        if all.len() > 26 {
            let message = format!("{method} needs at most 26 axes in a product: found {}", all.len());
            return Labelled { tensor: Tensor::mistake(Diagnostic::new(Code::BadArgument, message)), labels };
        }
        let equation = format!("{},{}->{}", letters(&a.labels), letters(&b.labels), letters(&labels));
        let tensor = Tensor::apply_as(method, ops::Einsum::new(equation), &[a.tensor, b.tensor]);
        Labelled { tensor, labels }
    }

    /// The axes in the order of `labels`.
    #[track_caller]
    fn arranged(&self, method: &str, labels: &[char]) -> Tensor {
        let dims: Option<Vec<usize>> =
            labels.iter().map(|label| self.labels.iter().position(|held| held == label)).collect();
        match dims {
            Some(dims) if self.labels != labels => Tensor::apply_as(method, ops::Permute { dims }, &[self.tensor]),
            _ => self.tensor,
        }
    }
}

/// Labels of axes that broadcast, which no equation can write; the last axis has the same one in every operand.
fn broadcast_labels(count: usize) -> impl Iterator<Item = char> {
    ('\u{e000}'..).take(count).collect::<Vec<char>>().into_iter().rev()
}

/// The first two axes with one label.
fn repeated(labels: &[char]) -> Option<(usize, usize)> {
    labels.iter().enumerate().find_map(|(b, label)| Some((labels[..b].iter().position(|held| held == label)?, b)))
}

/// The labels of each operand and of the result.
fn parse(equation: &str, operands: &[Tensor]) -> Result<(Vec<Vec<char>>, Vec<char>), Diagnostic> {
    let fault = |code, requirement: String| Diagnostic::new(code, format!("einsum needs {requirement}"));
    let compact: String = equation.chars().filter(|letter| !letter.is_whitespace()).collect();
    let (inputs, output) = match compact.split_once("->") {
        Some((inputs, output)) => (inputs, Some(output)),
        None => (compact.as_str(), None),
    };
    let terms: Vec<&str> = inputs.split(',').collect();
    if terms.len() != operands.len() {
        let requirement = format!("an operand for each term of `{equation}`: {} and {}", terms.len(), operands.len());
        return Err(fault(Code::BadArgument, requirement));
    }
    let mut labels: Vec<Vec<char>> = Vec::with_capacity(terms.len());
    let mut widest = 0;
    for (term, operand) in terms.iter().zip(operands) {
        let letters = term.chars().filter(char::is_ascii_alphabetic).count();
        let rest = operand.rank().checked_sub(letters).filter(|&rest| rest == 0 || term.contains("..."));
        let Some(rest) = rest else {
            let requirement =
                format!("a label for each axis: `{term}` has {letters}, {} has {}", operand.ty(), operand.rank());
            return Err(fault(Code::RankMismatch, requirement));
        };
        widest = widest.max(rest);
        labels.push(expand(term, rest, equation)?);
    }
    let all: Vec<char> = labels.iter().flatten().copied().collect();
    let out = match output {
        Some(output) => expand(output, widest, equation)?,
        None => {
            let mut once: Vec<char> = all.iter().copied().filter(|label| label.is_ascii()).collect();
            once.sort_unstable();
            once.retain(|label| all.iter().filter(|held| *held == label).count() == 1);
            broadcast_labels(widest).chain(once).collect()
        }
    };
    if repeated(&out).is_some() || out.iter().any(|label| label.is_ascii() && !all.contains(label)) {
        let requirement = format!("a result of distinct labels that its operands have: found `{equation}`");
        return Err(fault(Code::BadArgument, requirement));
    }
    check_extents(&labels, operands)?;
    Ok((labels, out))
}

/// The labels of a term, with `rest` axes for its `...`.
fn expand(term: &str, rest: usize, equation: &str) -> Result<Vec<char>, Diagnostic> {
    let (head, tail) = term.split_once("...").unwrap_or((term, ""));
    if !head.chars().chain(tail.chars()).all(|label| label.is_ascii_alphabetic()) {
        let message = format!("einsum needs an equation of letters, `...`, `,` and one `->`: found `{equation}`");
        return Err(Diagnostic::new(Code::BadArgument, message));
    }
    let rest = if term.contains("...") { rest } else { 0 };
    Ok(head.chars().chain(broadcast_labels(rest)).chain(tail.chars()).collect())
}

/// Whether the extents of each label are equal or 1.
fn check_extents(labels: &[Vec<char>], operands: &[Tensor]) -> Result<(), Diagnostic> {
    let mut known: Vec<(char, Dim)> = Vec::new();
    for (label, dim) in
        labels.iter().zip(operands).flat_map(|(term, tensor)| term.iter().copied().zip(tensor.shape().0))
    {
        match known.iter_mut().find(|(held, _)| *held == label) {
            None => known.push((label, dim)),
            Some((_, held)) if *held == Dim::ONE => *held = dim,
            Some((_, held)) if *held != dim && dim != Dim::ONE => {
                let name = if label.is_ascii() { label.to_string() } else { "...".to_owned() };
                let message = format!("einsum needs extents of `{name}` that are equal or 1: {held} and {dim}");
                return Err(Diagnostic::new(Code::ShapeMismatch, message));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
