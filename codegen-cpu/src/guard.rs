//! Guards of loads that may leave their tensor, and where they hold.
//!
//! A guarded load is split by tensor axis. Components that are always inside, or that the bounds of the loop in hand keep inside
//! (`Emitter::proven`), are part of the address as they are. The others become one condition; where it fails, those components
//! count as 0, so that the address stays inside the tensor, and the loaded value is replaced by the fill. So no lane and
//! no iteration reads out of bounds, and a row that is padding costs what any other row costs.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use kiln_ir::{Atom, AxisId, Dim, Index, Load};

use crate::emit::{Emitter, Position};
use crate::index::Step;
use crate::loops::Span;

/// A load, taken apart.
pub(crate) struct Access {
    /// Position of the element by the components that need no check.
    pub(crate) free: Index,
    /// Position by the components that count only where the condition holds.
    pub(crate) checked: Index,
    /// The condition.
    pub(crate) checks: Vec<Check>,
}

/// One part of a condition.
pub(crate) enum Check {
    /// `0 <= index < dim`.
    Inside(Index, Dim),
    /// The divisor divides the index.
    Exact(Index, i64),
}

impl Emitter<'_> {
    /// Takes a load apart at the current loop positions.
    pub(crate) fn access(&self, load: &Load) -> Access {
        let shape = &self.kernel.tensor(load.tensor).ty.shape;
        let mut access = Access { free: Index::default(), checked: Index::default(), checks: Vec::new() };
        for ((index, &dim), stride) in load.index.iter().zip(shape.dims()).zip(shape.strides()) {
            let index = self.resolve(index);
            let part = index.times(stride as i64);
            if load.fill.is_none() || self.is_inside(&index, dim) {
                access.free = access.free.plus(&part);
            } else {
                access.checked = access.checked.plus(&part);
                access.checks.push(Check::Inside(index.clone(), dim));
            }
            if load.fill.is_some() {
                collect_exact(&index, &mut access.checks);
            }
        }
        access
    }

    /// Whether the condition is the same in all lanes, and so are the components it covers.
    pub(crate) fn is_uniform(&self, access: &Access) -> bool {
        self.step(&access.checked) == Step::Constant(0)
            && access.checks.iter().all(|check| match check {
                Check::Inside(index, _) | Check::Exact(index, _) => self.step(index) == Step::Constant(0),
            })
    }

    /// The condition in one lane; `None` where there is none.
    pub(crate) fn condition(&mut self, access: &Access, lane: usize) -> Option<Value> {
        access.checks.iter().fold(None, |all, check| {
            let holds = match check {
                Check::Inside(index, dim) => {
                    let (position, extent) = (self.index_value(index, lane), self.extent(*dim));
                    self.b.ins().icmp(IntCC::UnsignedLessThan, position, extent)
                }
                Check::Exact(index, by) => {
                    let remainder = self.floor_division(index, *by, lane).1;
                    self.b.ins().icmp_imm_s(IntCC::Equal, remainder, 0)
                }
            };
            Some(match all {
                Some(all) => self.b.ins().band(all, holds),
                None => holds,
            })
        })
    }

    /// The components of a load that are inside exactly on an interval of `axis`, given all loops around it.
    pub(crate) fn peelable(&self, load: &Load, axis: AxisId, found: &mut Vec<(Index, Dim)>) {
        if load.fill.is_none() {
            return;
        }
        for (index, &dim) in load.index.iter().zip(self.kernel.tensor(load.tensor).ty.shape.dims()) {
            let index = self.resolve(index);
            let guard = (index, dim);
            if !self.is_inside(&guard.0, dim) && self.is_affine(&guard.0, axis) && !found.contains(&guard) {
                found.push(guard);
            }
        }
    }

    /// Whether a guard of the load is known to fail.
    pub(crate) fn is_refuted(&self, load: &Load) -> bool {
        let shape = &self.kernel.tensor(load.tensor).ty.shape;
        let fails = |index: &Index, dim: Dim| {
            let index = self.resolve(index);
            self.refuted.iter().any(|(held, extent)| *held == index && *extent == dim)
        };
        load.fill.is_some()
            && !self.refuted.is_empty()
            && load.index.iter().zip(shape.dims()).any(|(index, &dim)| fails(index, dim))
    }

    /// Cuts a loop before and after the positions at which every guard holds.
    pub(crate) fn pieces(&mut self, axis: AxisId, guards: &[(Index, Dim)], span: Span) -> [Span; 3] {
        let known = span.known.and_then(|(start, end)| {
            let (mut low, mut high) = (start, end);
            for (index, dim) in guards {
                let (first, last) = known_interval(axis, index, *dim)?;
                (low, high) = (low.max(first), high.min(last));
            }
            let low = low.min(end);
            Some([start, low, high.max(low), end])
        });
        let bounds = match known {
            Some(known) => known.map(|bound| self.int(bound)),
            None => {
                let (low, high) = self.interval(axis, guards, span.start, span.end);
                [span.start, low, high, span.end]
            }
        };
        [0, 1, 2].map(|at| Span {
            start: bounds[at],
            end: bounds[at + 1],
            known: known.map(|known| (known[at], known[at + 1])),
        })
    }

    /// The positions `[low, high)` of `axis`, within `[start, end)`, at which every guard holds.
    fn interval(&mut self, axis: AxisId, guards: &[(Index, Dim)], start: Value, end: Value) -> (Value, Value) {
        let (mut low, mut high) = (start, end);
        for (index, dim) in guards {
            let (first, last) = self.interval_of(axis, index, *dim);
            low = self.b.ins().smax(low, first);
            high = self.b.ins().smin(high, last);
        }
        low = self.b.ins().smin(low, end);
        high = self.b.ins().smax(high, low);
        (low, high)
    }

    /// Solves `0 <= factor·axis + rest < extent` for the axis, as a half-open interval.
    fn interval_of(&mut self, axis: AxisId, index: &Index, dim: Dim) -> (Value, Value) {
        let (factor, rest) = without(axis, index);
        let (rest, extent) = (self.index_value(&rest, 0), self.extent(dim));
        if factor > 0 {
            // low = ceil(-rest / factor), high = ceil((extent - rest) / factor).
            let (minus, room) = (self.b.ins().ineg(rest), self.b.ins().isub(extent, rest));
            (self.ceiling(minus, factor), self.ceiling(room, factor))
        } else {
            // low = floor((rest - extent) / -factor) + 1, high = floor(rest / -factor) + 1.
            let over = self.b.ins().isub(rest, extent);
            let (over, last) = (self.floor(over, -factor), self.floor(rest, -factor));
            (self.b.ins().iadd_imm_s(over, 1), self.b.ins().iadd_imm_s(last, 1))
        }
    }

    fn ceiling(&mut self, x: Value, by: i64) -> Value {
        let x = if by == 1 { x } else { self.b.ins().iadd_imm_s(x, by - 1) };
        self.floor(x, by)
    }

    fn floor(&mut self, x: Value, by: i64) -> Value {
        if by.count_ones() == 1 {
            return self.b.ins().sshr_imm_u(x, i64::from(by.trailing_zeros()));
        }
        let (quotient, remainder) = (self.b.ins().sdiv_imm_s(x, by), self.b.ins().srem_imm_s(x, by));
        let borrow = self.b.ins().sshr_imm_u(remainder, 63);
        self.b.ins().iadd(quotient, borrow)
    }

    fn is_inside(&self, index: &Index, dim: Dim) -> bool {
        self.always_inside(index, dim) || self.proven.iter().any(|(held, extent)| held == index && *extent == dim)
    }

    /// Whether an index moves evenly with `axis` and everything else in it stands on a scalar already.
    fn is_affine(&self, index: &Index, axis: AxisId) -> bool {
        let is_bound = |index: &Index| {
            let mut bound = true;
            index
                .for_each_axis(&mut |axis| bound &= matches!(self.positions[axis.0 as usize], Position::Scalar { .. }));
            bound
        };
        let mut moves = false;
        index.terms.iter().all(|(atom, _)| match atom {
            Atom::Axis(held) if *held == axis => {
                moves = true;
                true
            }
            Atom::Axis(held) => matches!(self.positions[held.0 as usize], Position::Scalar { .. }),
            Atom::Div(inner, _) | Atom::Mod(inner, _) | Atom::ExactDiv(inner, _) => {
                is_bound(inner) && !has_value(inner)
            }
            Atom::Value(_) => false,
        }) && moves
    }
}

/// The factor of an axis, and the index without it.
fn without(axis: AxisId, index: &Index) -> (i64, Index) {
    let is_axis = |atom: &Atom| *atom == Atom::Axis(axis);
    let factor = index.terms.iter().find(|(atom, _)| is_axis(atom)).map_or(0, |(_, factor)| *factor);
    let terms = index.terms.iter().filter(|(atom, _)| !is_axis(atom)).cloned().collect();
    (factor, Index { terms, offset: index.offset })
}

/// [`Emitter::interval_of`] where nothing but the axis moves.
fn known_interval(axis: AxisId, index: &Index, dim: Dim) -> Option<(i64, i64)> {
    let (factor, rest) = without(axis, index);
    let (rest, extent) = (rest.as_constant()?, dim.as_fixed()? as i64);
    Some(if factor > 0 {
        ((factor - 1 - rest).div_euclid(factor), (extent - rest + factor - 1).div_euclid(factor))
    } else {
        ((rest - extent).div_euclid(-factor) + 1, rest.div_euclid(-factor) + 1)
    })
}

fn has_value(index: &Index) -> bool {
    index.terms.iter().any(|(atom, _)| match atom {
        Atom::Axis(_) => false,
        Atom::Div(inner, _) | Atom::Mod(inner, _) | Atom::ExactDiv(inner, _) => has_value(inner),
        Atom::Value(_) => true,
    })
}

fn collect_exact(index: &Index, checks: &mut Vec<Check>) {
    for (atom, _) in &index.terms {
        match atom {
            Atom::ExactDiv(inner, by) => {
                checks.push(Check::Exact((**inner).clone(), *by));
                collect_exact(inner, checks);
            }
            Atom::Div(inner, _) | Atom::Mod(inner, _) => collect_exact(inner, checks),
            Atom::Axis(_) | Atom::Value(_) => {}
        }
    }
}
