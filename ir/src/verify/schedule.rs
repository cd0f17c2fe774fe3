//! Whether a schedule fits its kernel, as `Schedule` and `Contract` say.

use super::Report;
use super::strides::{affine_strides, collapse};
use crate::kernel::{Contract, Kernel, Statement, Tile};
use crate::text::{Names, expr_text};
use crate::{AxisId, Binary, Code, DType, Dim, Expr, Monoid, Place};

/// Vectors are at most this long; a back end splits those that are longer than its registers.
const MAX_LANES: usize = 64;

/// Reports on the schedule's line.
pub(super) fn check(kernel: &Kernel, line: u32, place: &Place, report: &mut Report) {
    let contractions = kernel.schedule.contracts.iter().map(|contract| contraction(kernel, contract));
    let checks = [threads(kernel), vectors(kernel), unrolled(kernel)];
    for message in contractions.chain(checks).filter_map(Result::err) {
        report.add(line, Code::BadSchedule, message, place);
    }
}

type Checked = Result<(), String>;

fn require(holds: bool, message: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(message()) }
}

fn threads(kernel: &Kernel) -> Checked {
    let thread = &kernel.schedule.thread;
    if thread.is_empty() {
        return Ok(());
    }
    let leading = match kernel.body.as_slice() {
        [Statement::For(axes, _)] => axes.starts_with(thread),
        _ => false,
    };
    require(leading, || "threads divide the leading axes of the one outermost `for`".to_owned())?;
    require(kernel.schedule.grain > 0, || "a chunk of a thread has at least one item: grain is 0".to_owned())?;
    let limited = thread.iter().find(|&&axis| kernel.axis(axis).limit.is_some());
    require(limited.is_none(), || {
        format!("items are counted before the kernel runs: `{}` is limited", name(kernel, limited))
    })?;
    let items = thread.iter().try_fold(Dim::ONE, |items, &axis| items.product(kernel.axis(axis).extent));
    require(items.is_some(), || "at most one axis that threads divide is symbolic".to_owned())
}

fn vectors(kernel: &Kernel) -> Checked {
    let vectors = &kernel.schedule.vector;
    for (at, vector) in vectors.iter().enumerate() {
        let axis = &kernel.axis(vector.axis).name;
        require(vector.lanes.is_power_of_two() && (2..=MAX_LANES).contains(&vector.lanes), || {
            format!("lanes are a power of two from 2 to {MAX_LANES}: `{axis}` has {}", vector.lanes)
        })?;
        require(vectors[..at].iter().all(|other| other.axis != vector.axis), || {
            format!("an axis is vectorised once: `{axis}` is twice")
        })?;
        require(is_innermost(kernel, &kernel.body, vector.axis), || {
            format!(
                "lanes run along the last axis of a loop that holds no `for`, or around a serial loop: `{axis}` is none"
            )
        })?;
    }
    Ok(())
}

/// Whether an axis is the last of a reduction, of a `for` with nothing but lets and stores or around a serial loop, or of the epilogue's tile.
fn is_innermost(kernel: &Kernel, statements: &[Statement], axis: AxisId) -> bool {
    statements.iter().any(|statement| match statement {
        Statement::Reduce { axes, .. } => axes.last() == Some(&axis),
        Statement::For(axes, body) => {
            let mut contracts = kernel.schedule.contracts.iter();
            let is_tile = contracts.any(|c| c.n.last().is_some_and(|tile| tile.axis == axis)) && axes.contains(&axis);
            let holds_serial = body.iter().any(|statement| matches!(statement, Statement::Serial(..)));
            let is_last = axes.last() == Some(&axis) && (holds_serial || !body.iter().any(is_loop));
            is_tile || is_last || is_innermost(kernel, body, axis)
        }
        Statement::Let(..) | Statement::Serial(..) | Statement::Store { .. } => false,
    })
}

fn is_loop(statement: &Statement) -> bool {
    matches!(statement, Statement::For(..) | Statement::Serial(..))
}

fn unrolled(kernel: &Kernel) -> Checked {
    let schedule = &kernel.schedule;
    for (at, axis) in schedule.unroll.iter().enumerate() {
        let held = kernel.axis(*axis);
        let is_free = !schedule.thread.contains(axis)
            && schedule.vector.iter().all(|vector| vector.axis != *axis)
            && !schedule.unroll[..at].contains(axis);
        require(is_free, || format!("an axis has one part in a schedule: `{}` is unrolled and more", held.name))?;
        require(held.limit.is_none() && !held.extent.batch, || {
            format!("an axis with a known number of positions is unrolled: `{}` is in {}", held.name, held.extent)
        })?;
    }
    Ok(())
}

fn contraction(kernel: &Kernel, contract: &Contract) -> Checked {
    let k: Vec<AxisId> = contract.k.iter().map(|tile| tile.axis).collect();
    let Some((axes, value, epilogue)) = find_contraction(&kernel.body, &k) else {
        return Err("`k` has all axes of the one sum that a `for` begins with".to_owned());
    };
    require(epilogue.iter().all(|s| matches!(s, Statement::Let(..) | Statement::Store { .. })), || {
        "the epilogue of a contraction has no loops".to_owned()
    })?;
    let tiles = || contract.m.iter().chain(&contract.n).chain(&contract.k);
    let parts = |c: &Contract| [c.m.clone(), c.n.clone(), c.k.clone()].concat();
    let elsewhere = kernel.schedule.contracts.iter().filter(|other| !std::ptr::eq(*other, contract)).flat_map(parts);
    let elsewhere: Vec<AxisId> = elsewhere.map(|tile| tile.axis).collect();
    for tile in tiles() {
        let held = kernel.axis(tile.axis);
        let most = held.extent.as_fixed().unwrap_or(usize::MAX);
        require((1..=most).contains(&tile.size), || {
            format!("a tile has from 1 to {} positions of `{}`, found {}", held.extent, held.name, tile.size)
        })?;
        let parts = tiles().filter(|other| other.axis == tile.axis).count();
        require(parts == 1 && !elsewhere.contains(&tile.axis), || {
            format!("an axis is one of m, n and k: `{}` is more", held.name)
        })?;
    }
    let outside = contract.m.iter().chain(&contract.n).map(|tile| &tile.axis).find(|axis| !axes.contains(axis));
    require(outside.is_none(), || {
        format!("the axes of m and n are those of the `for`: `{}` is none", name(kernel, outside))
    })?;
    let thread = &kernel.schedule.thread;
    let clash = thread.iter().find(|axis| {
        let in_m = contract.m.iter().any(|tile| tile.axis == **axis);
        tiles().any(|tile| tile.axis == **axis) && !(in_m && thread.len() == 1)
    });
    require(clash.is_none(), || {
        format!("threads divide no axis of a tile, unless it is the one of them and in m: `{}` is", name(kernel, clash))
    })?;
    factors(kernel, contract, value)
}

/// The axes of the `for`, the summed value and the epilogue.
fn find_contraction<'k>(block: &'k [Statement], k: &[AxisId]) -> Option<(&'k [AxisId], &'k Expr, &'k [Statement])> {
    block.iter().find_map(|statement| {
        let Statement::For(axes, body) = statement else { return None };
        match body.split_first() {
            Some((Statement::Reduce { axes: summed, lets, results }, epilogue)) => {
                let [result] = results.as_slice() else { return None };
                let is_k = summed.len() == k.len() && summed.iter().all(|axis| k.contains(axis));
                let fits = is_k && lets.is_empty() && result.monoid == Monoid::Sum;
                fits.then_some((axes.as_slice(), &result.value, epilogue))
            }
            _ => find_contraction(body, k),
        }
    })
}

fn factors(kernel: &Kernel, contract: &Contract, value: &Expr) -> Checked {
    let names = Names::of(kernel);
    let Expr::Binary(Binary::Mul, first, second) = value else {
        return Err(format!("a contraction sums a product, found `{}`", expr_text(value, &names)));
    };
    require(kernel.dtype(value) == DType::F32, || {
        format!("the micro-kernel takes f32, found {}", kernel.dtype(value))
    })?;
    let (a, b) = match contract.a_factor {
        0 => (first, second),
        1 => (second, first),
        other => return Err(format!("a product has the factors 0 and 1: `a` is {other}")),
    };
    for (which, factor, others) in [("A", a, &contract.n), ("B", b, &contract.m)] {
        let named = others.iter().find(|tile| names_axis(factor, tile.axis));
        require(named.is_none(), || {
            let axis = name(kernel, named.map(|tile| &tile.axis));
            format!(
                "{which} does not depend on the other factor's axes: `{}` names `{axis}`",
                expr_text(factor, &names)
            )
        })?;
    }
    let mut runs_of_k = Vec::new();
    for (which, factor, packed, tiles) in
        [("a", a, contract.pack_a, &contract.m), ("b", b, contract.pack_b, &contract.n)]
    {
        if packed {
            continue;
        }
        let strides = kernel.element(factor).and_then(|load| affine_strides(kernel, load));
        let strides = strides.ok_or_else(|| {
            format!("a factor that is not packed is a plain load: {which} is `{}`", expr_text(factor, &names))
        })?;
        require(collapse(kernel, tiles, &strides).is_empty(), || {
            format!(
                "a factor that is not packed has one stride over its tile: {which} is `{}`",
                expr_text(factor, &names)
            )
        })?;
        let step = last_wide(tiles).map_or(1, |axis| strides.iter().find(|(held, _)| *held == axis).map_or(0, |s| s.1));
        require(which == "a" || step == 1, || {
            format!("b is contiguous along n unless it is packed: `{}` has stride {step}", expr_text(factor, &names))
        })?;
        runs_of_k.extend(collapse(kernel, &contract.k, &strides));
    }
    runs_of_k.sort_unstable();
    runs_of_k.dedup();
    require(runs_of_k.len() <= 1, || "factors that are not packed have at most two strides along k".to_owned())
}

/// The axis along which neighbours of a tile lie.
fn last_wide(tiles: &[Tile]) -> Option<AxisId> {
    tiles.iter().rev().find(|tile| tile.size > 1).map(|tile| tile.axis)
}

fn names_axis(expr: &Expr, axis: AxisId) -> bool {
    let mut found = false;
    let mut visit = |held: AxisId| found |= held == axis;
    expr.for_each(&mut |x| match x {
        Expr::Index(index) => index.for_each_axis(&mut visit),
        Expr::Load(load) => load.index.iter().for_each(|index| index.for_each_axis(&mut visit)),
        _ => {}
    });
    found
}

fn name(kernel: &Kernel, axis: Option<&AxisId>) -> String {
    axis.map_or_else(String::new, |&axis| kernel.axis(axis).name.clone())
}
