//! Text to a kernel's schedule: `thread(n) grain(1) contract(m: oc; n: oh:4 ow; k: c kh kw; pack b; a 1) vector(ow:4) unroll(c)`.

use super::cursor::{Cursor, Parsed};
use crate::AxisId;
use crate::kernel::{Contract, Kernel, Schedule, Tile, Vector};

/// What follows the word `schedule`, up to the end of the line.
pub(super) fn parse_schedule(cursor: &mut Cursor<'_>, kernel: &Kernel) -> Parsed<Schedule> {
    let mut schedule = Schedule::default();
    while !cursor.at_line_end() {
        let word = cursor.word();
        let what = "`thread`, `grain`, `contract`, `vector` or `unroll`";
        if !matches!(word, Some("thread" | "grain" | "contract" | "vector" | "unroll")) {
            return Err(cursor.expected(what));
        }
        cursor.advance();
        cursor.expect("(")?;
        match word {
            Some("thread") => schedule.thread = axes(cursor, kernel)?,
            Some("grain") => schedule.grain = cursor.integer("a number of items")?,
            Some("contract") => schedule.contracts.push(contract(cursor, kernel)?),
            Some("vector") => schedule.vector = vectors(cursor, kernel)?,
            _ => schedule.unroll = axes(cursor, kernel)?,
        }
        cursor.expect(")")?;
    }
    Ok(schedule)
}

fn contract(cursor: &mut Cursor<'_>, kernel: &Kernel) -> Parsed<Contract> {
    let m = tiles(cursor, kernel, "m")?;
    cursor.expect(";")?;
    let n = tiles(cursor, kernel, "n")?;
    cursor.expect(";")?;
    let k = tiles(cursor, kernel, "k")?;
    let mut contract = Contract { m, n, k, pack_a: false, pack_b: false, a_factor: 0 };
    while cursor.eat(";") {
        if cursor.eat_word("pack") {
            contract.pack_a = cursor.eat_word("a");
            contract.pack_b = cursor.eat_word("b");
        } else if cursor.eat_word("a") {
            contract.a_factor = cursor.integer("0 or 1")?;
        } else {
            return Err(cursor.expected("`pack` or `a`"));
        }
    }
    Ok(contract)
}

fn tiles(cursor: &mut Cursor<'_>, kernel: &Kernel, name: &str) -> Parsed<Vec<Tile>> {
    cursor.expect_word(name)?;
    cursor.expect(":")?;
    let mut tiles = Vec::new();
    while !cursor.at(";") && !cursor.at(")") {
        let axis = axis(cursor, kernel)?;
        let size = match kernel.axis(axis).extent.as_fixed() {
            _ if cursor.eat(":") => cursor.integer("a tile size")?,
            Some(extent) => extent,
            None => return Err(cursor.expected("`:` and a tile size, as the axis has no fixed extent")),
        };
        tiles.push(Tile { axis, size });
    }
    Ok(tiles)
}

fn vectors(cursor: &mut Cursor<'_>, kernel: &Kernel) -> Parsed<Vec<Vector>> {
    let mut vectors = Vec::new();
    while !cursor.at(")") {
        let axis = axis(cursor, kernel)?;
        cursor.expect(":")?;
        vectors.push(Vector { axis, lanes: cursor.integer("a number of lanes")? });
    }
    Ok(vectors)
}

fn axes(cursor: &mut Cursor<'_>, kernel: &Kernel) -> Parsed<Vec<AxisId>> {
    let mut axes = Vec::new();
    while !cursor.at(")") {
        axes.push(axis(cursor, kernel)?);
    }
    Ok(axes)
}

fn axis(cursor: &mut Cursor<'_>, kernel: &Kernel) -> Parsed<AxisId> {
    let start = cursor.position();
    let name = cursor.name("an axis")?;
    match kernel.axes.iter().position(|axis| axis.name == name) {
        Some(at) => Ok(AxisId(at as u32)),
        None => {
            cursor.rewind(start);
            Err(cursor.unknown("an axis of the kernel", &name))
        }
    }
}
