//! Interval analysis of index expressions. What it proves to be in range is loaded without a check: the verifier demands it where
//! a load has no fill value, and back ends use it to drop the checks of those that have one.
//!
//! Bounds are `constant + batch·B` for a batch size `B` of at least 1 that is not known, and a comparison holds only if it does for every `B`.
//! Intervals forget that two terms move together, with one exception: the index that a split axis is limited by is kept whole,
//! so that `8*p + i` with `i in 8 while 8*p + i < 28` is below 28.

use std::fmt;

use crate::kernel::{Kernel, Statement};
use crate::{Atom, AxisId, Binary, DType, Dim, Expr, Index, Monoid, Shape, Unary};

/// `constant + batch·B`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// The part that is known.
    pub constant: i64,
    /// What the batch size multiplies.
    pub batch: i64,
}

/// What lies between two bounds, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The least value.
    pub low: Bound,
    /// The greatest value.
    pub high: Bound,
}

/// The ranges of a kernel's axes and locals, and of what is made of them.
pub struct Ranges<'k> {
    kernel: &'k Kernel,
    locals: Vec<Option<Range>>,
}

/// Limits of splits in splits that are followed.
const MAX_LIMITS: usize = 4;

impl Bound {
    /// A known bound.
    pub const fn fixed(constant: i64) -> Bound {
        Bound { constant, batch: 0 }
    }

    /// Whether this is at most `other` for every batch size.
    pub fn at_most(self, other: Bound) -> bool {
        // The difference grows from its value at B = 1, unless B makes it fall.
        let difference = |a: i64, b: i64| i128::from(b) - i128::from(a);
        let (constant, batch) = (difference(self.constant, other.constant), difference(self.batch, other.batch));
        batch >= 0 && constant + batch >= 0
    }

    /// The sum, if it can be counted.
    pub fn plus(self, other: Bound) -> Option<Bound> {
        let constant = self.constant.checked_add(other.constant)?;
        Some(Bound { constant, batch: self.batch.checked_add(other.batch)? })
    }

    fn times(self, factor: i64) -> Option<Bound> {
        Some(Bound { constant: self.constant.checked_mul(factor)?, batch: self.batch.checked_mul(factor)? })
    }

    /// A bound below both.
    fn lower(self, other: Bound) -> Bound {
        match () {
            () if self.at_most(other) => self,
            () if other.at_most(self) => other,
            () => Bound { constant: self.constant.min(other.constant), batch: self.batch.min(other.batch) },
        }
    }

    /// A bound above both.
    fn upper(self, other: Bound) -> Bound {
        match () {
            () if self.at_most(other) => other,
            () if other.at_most(self) => self,
            () => Bound { constant: self.constant.max(other.constant), batch: self.batch.max(other.batch) },
        }
    }
}

impl From<Dim> for Bound {
    fn from(dim: Dim) -> Bound {
        let factor = i64::try_from(dim.factor).unwrap_or(i64::MAX);
        if dim.batch { Bound { constant: 0, batch: factor } } else { Bound::fixed(factor) }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.batch, self.constant) {
            (0, constant) => write!(f, "{constant}"),
            (batch, constant) => {
                let factor = if batch == 1 { String::new() } else { format!("{batch}*") };
                let (sign, size) = if constant < 0 { ('-', constant.unsigned_abs()) } else { ('+', constant as u64) };
                if constant == 0 { write!(f, "{factor}B") } else { write!(f, "{factor}B {sign} {size}") }
            }
        }
    }
}

impl Range {
    const ANY: Range = Range { low: Bound::fixed(i64::MIN), high: Bound::fixed(i64::MAX) };

    /// One value.
    pub fn point(bound: Bound) -> Range {
        Range { low: bound, high: bound }
    }

    /// The positions of an axis: `0..extent`.
    pub fn below(extent: Dim) -> Range {
        let extent = Bound::from(extent);
        Range { low: Bound::fixed(0), high: Bound { constant: extent.constant.saturating_sub(1), ..extent } }
    }

    /// Whether every value is a position of `0..extent`, whatever the batch size.
    pub fn is_within(self, extent: Dim) -> bool {
        Bound::fixed(0).at_most(self.low) && self.high.at_most(Range::below(extent).high)
    }

    fn plus(self, other: Range) -> Option<Range> {
        Some(Range { low: self.low.plus(other.low)?, high: self.high.plus(other.high)? })
    }

    fn times(self, factor: i64) -> Option<Range> {
        let (a, b) = (self.low.times(factor)?, self.high.times(factor)?);
        Some(if factor < 0 { Range { low: b, high: a } } else { Range { low: a, high: b } })
    }

    fn union(self, other: Range) -> Range {
        Range { low: self.low.lower(other.low), high: self.high.upper(other.high) }
    }

    /// The tighter of two true statements about one value.
    fn intersection(self, other: Range) -> Range {
        Range {
            low: if other.low.at_most(self.low) { self.low } else { other.low },
            high: if self.high.at_most(other.high) { self.high } else { other.high },
        }
    }

    /// Floor division: `floor((a + b·B)/d)` lies between `floor(a/d) + floor(b/d)·B` and `floor(a/d) + ceil(b/d)·B`.
    fn div(self, divisor: i64) -> Range {
        let floor = |value: i64| value.div_euclid(divisor);
        let ceil = |value: i64| floor(value) + i64::from(value.rem_euclid(divisor) != 0);
        Range {
            low: Bound { constant: floor(self.low.constant), batch: floor(self.low.batch) },
            high: Bound { constant: floor(self.high.constant), batch: ceil(self.high.batch) },
        }
    }
}

impl<'k> Ranges<'k> {
    /// The ranges in a kernel whose ids are valid.
    pub fn new(kernel: &'k Kernel) -> Ranges<'k> {
        let mut ranges = Ranges { kernel, locals: vec![None; kernel.locals.len()] };
        ranges.define(&kernel.body);
        ranges
    }

    /// The positions of an axis.
    pub fn axis(&self, axis: AxisId) -> Range {
        Range::below(self.kernel.axis(axis).extent)
    }

    /// What an index expression can be, if that is bounded.
    pub fn index(&self, index: &Index) -> Option<Range> {
        self.limited(index, MAX_LIMITS)
    }

    /// What an integer expression can be, if that is bounded.
    pub fn value(&self, expr: &Expr) -> Option<Range> {
        match expr {
            Expr::Number(number, dtype) if dtype.is_integer() && number.value().fract() == 0.0 => {
                Some(Range::point(Bound::fixed(number.value() as i64)))
            }
            Expr::Index(index) => self.index(index),
            Expr::Extent(dim) => Some(Range::point(Bound::from(*dim))),
            Expr::Local(local) => self.locals[local.0 as usize],
            Expr::Check(_, bound, _) => Some(Range::below(*bound)),
            Expr::Random { bits, .. } => Some(Range::below(Dim::fixed(1_usize.checked_shl(*bits)?))),
            Expr::Cast(DType::I64, x) => self.value(x),
            Expr::Select(_, a, b) => Some(self.value(a)?.union(self.value(b)?)),
            Expr::Unary(Unary::Neg, x) if self.is_i64(x) => self.value(x)?.times(-1),
            Expr::Binary(Binary::Add, a, b) if self.is_i64(a) => self.value(a)?.plus(self.value(b)?),
            Expr::Binary(Binary::Sub, a, b) if self.is_i64(a) => self.value(a)?.plus(self.value(b)?.times(-1)?),
            // A clamp bounds what is not bounded otherwise.
            Expr::Binary(Binary::Max, a, b) if self.is_i64(a) => {
                let (a, b) = (self.value(a).unwrap_or(Range::ANY), self.value(b).unwrap_or(Range::ANY));
                Some(Range { low: a.intersection(b).low, high: a.high.upper(b.high) })
            }
            Expr::Binary(Binary::Min, a, b) if self.is_i64(a) => {
                let (a, b) = (self.value(a).unwrap_or(Range::ANY), self.value(b).unwrap_or(Range::ANY));
                Some(Range { low: a.low.lower(b.low), high: a.intersection(b).high })
            }
            _ => match self.kernel.dtype(expr) {
                DType::Bool => Some(Range::below(Dim::fixed(2))),
                DType::U8 => Some(Range::below(Dim::fixed(256))),
                _ => None,
            },
        }
    }

    /// Whether an index is always a position of `0..extent`, with every exact division exact.
    pub fn is_within(&self, index: &Index, extent: Dim) -> bool {
        is_exact(index) && self.index(index).is_some_and(|range| range.is_within(extent))
    }

    /// Whether an element is always inside its tensor.
    pub fn are_within(&self, index: &[Index], shape: &Shape) -> bool {
        index.len() == shape.rank() && index.iter().zip(shape.dims()).all(|(index, &dim)| self.is_within(index, dim))
    }

    fn is_i64(&self, expr: &Expr) -> bool {
        self.kernel.dtype(expr) == DType::I64
    }

    fn define(&mut self, statements: &'k [Statement]) {
        for statement in statements {
            match statement {
                Statement::Let(local, value) => self.locals[local.0 as usize] = self.value(value),
                Statement::For(_, body) | Statement::Serial(_, body) => self.define(body),
                Statement::Reduce { axes, lets, results } => {
                    for (local, value) in lets {
                        self.locals[local.0 as usize] = self.value(value);
                    }
                    for result in results {
                        let axes = || axes.iter().map(|&axis| self.kernel.axis(axis).extent);
                        self.locals[result.local.0 as usize] = match result.monoid {
                            Monoid::ArgMax => axes().try_fold(Dim::ONE, Dim::product).map(Range::below),
                            Monoid::Max | Monoid::Min | Monoid::Sum | Monoid::Product => None,
                        };
                    }
                }
                Statement::Store { .. } => {}
            }
        }
    }

    /// The range of an index, written once with its axes and once for each limited axis with that limit's index.
    fn limited(&self, index: &Index, limits: usize) -> Option<Range> {
        let mut range = self.sum(index, limits);
        if limits == 0 {
            return range;
        }
        for (atom, factor) in &index.terms {
            let Atom::Axis(axis) = atom else { continue };
            let Some((limit, below)) = &self.kernel.axis(*axis).limit else { continue };
            if !limit.terms.contains(&(atom.clone(), 1)) {
                continue;
            }
            let with_limit = || {
                let mut limited = self.sum(limit, 0)?;
                let last = Range::below(*below).high;
                limited.high = if limited.high.at_most(last) { limited.high } else { last };
                let rest = index.plus(&scaled(limit, -factor)?);
                limited.times(*factor)?.plus(self.limited(&rest, limits - 1)?)
            };
            range = match (range, with_limit()) {
                (Some(a), Some(b)) => Some(a.intersection(b)),
                (a, b) => a.or(b),
            };
        }
        range
    }

    fn sum(&self, index: &Index, limits: usize) -> Option<Range> {
        index.terms.iter().try_fold(Range::point(Bound::fixed(index.offset)), |sum, (atom, factor)| {
            let range = match atom {
                Atom::Axis(axis) => self.axis(*axis),
                Atom::Value(value) => self.value(value)?,
                Atom::Div(inner, by) | Atom::ExactDiv(inner, by) => self.limited(inner, limits)?.div(*by),
                Atom::Mod(inner, by) => {
                    let whole = Range::below(Dim::fixed(usize::try_from(*by).ok()?));
                    match self.limited(inner, limits) {
                        Some(range) if range.is_within(Dim::fixed(usize::try_from(*by).ok()?)) => range,
                        _ => whole,
                    }
                }
            };
            sum.plus(range.times(*factor)?)
        })
    }
}

/// The product, if its coefficients can be counted with room for a sum.
fn scaled(index: &Index, factor: i64) -> Option<Index> {
    let coefficients = index.terms.iter().map(|(_, coefficient)| *coefficient).chain([index.offset, 1]);
    let fits =
        |coefficient: i64| coefficient.checked_mul(factor).is_some_and(|product| product.unsigned_abs() < 1 << 61);
    coefficients.into_iter().all(fits).then(|| index.times(factor))
}

fn is_exact(index: &Index) -> bool {
    index.terms.iter().all(|(atom, _)| match atom {
        Atom::Axis(_) | Atom::Value(_) => true,
        Atom::Div(inner, _) | Atom::Mod(inner, _) => is_exact(inner),
        Atom::ExactDiv(..) => false,
    })
}
