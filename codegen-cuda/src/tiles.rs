//! The mapping of contractions: one block for each tile of the result, both factors' tiles in shared memory.
//!
//! 16 x 16 threads each keep up to 4 x 4 sums in registers; thread (y, x) has the rows `y + 16·i` and the columns `x + 16·j`, so that
//! neighbouring threads store neighbouring columns. A factor is evaluated once an element and tile, whatever expression it is: padding,
//! gathers and fused producers cost nothing extra. Positions outside the matrices are 0 in shared memory. The order of each sum is that
//! of the kernel's reduction.

use kiln_ir::kernel::Statement;
use kiln_ir::{AxisId, Expr};

use crate::mapping::{Nest, SIDE, Tiling, factors, is_contiguous};
use crate::scope::c_type;
use crate::statements::Writer;
use crate::text::{Code, Level};

/// Names of the variables that are the writer's own.
struct Variables {
    row: String,
    column: String,
    depth: String,
    row_first: String,
    column_first: String,
    depth_first: String,
    row_lane: String,
    column_lane: String,
    a_tile: String,
    b_tile: String,
    sums: String,
    at: String,
    value: String,
    i: String,
    j: String,
}

/// One factor's tile: `[depth][position]`.
struct Side<'k> {
    factor: &'k Expr,
    axes: &'k [AxisId],
    position: String,
    first: String,
    size: usize,
    tile: String,
}

/// Writes the body of a tiled contraction.
pub(crate) fn write(writer: &mut Writer<'_>, nest: &Nest<'_>, tiling: &Tiling) {
    let Some((_, [a, b])) = factors(nest, tiling.a_factor) else { return };
    let Statement::Reduce { results, .. } = &nest.body[0] else { return };
    let sum = results[0].local;
    let v = Variables::new(writer, a, b);
    let ty = c_type(writer.scope.kernel.local(sum).dtype);

    place_tile(writer, tiling, &v);
    let (rows_each, columns_each) = (tiling.tile_rows / SIDE, tiling.tile_columns / SIDE);
    let depth = tiling.tile_depth;
    writer.text.line(format_args!(
        "__shared__ {ty} {}[{depth}][{}];  // [{}, {}]",
        v.a_tile, tiling.tile_rows, v.depth, v.row
    ));
    writer.text.line(format_args!(
        "__shared__ {ty} {}[{depth}][{}];  // [{}, {}]",
        v.b_tile, tiling.tile_columns, v.depth, v.column
    ));
    writer.text.line(format_args!("{ty} {}[{rows_each}][{columns_each}] = {{}};", v.sums));

    let names = &writer.scope.names;
    let (sum_name, depth_list) = (names.local(sum).to_owned(), names.axis_list(&tiling.depth));
    let total = writer.scope.dim(writer.scope.count(&tiling.depth)).at(Level::Sum);
    let index = writer.scope.position_type();
    writer.text.section(format_args!("{sum_name} = sum over {depth_list}, {depth} at a time."));
    let first = &v.depth_first;
    writer.text.open(format_args!("for ({index} {first} = 0; {first} < {total}; {first} += {depth})"));
    let a_side = Side {
        factor: a,
        axes: &tiling.rows,
        position: v.row.clone(),
        first: v.row_first.clone(),
        size: tiling.tile_rows,
        tile: v.a_tile.clone(),
    };
    let b_side = Side {
        factor: b,
        axes: &tiling.columns,
        position: v.column.clone(),
        first: v.column_first.clone(),
        size: tiling.tile_columns,
        tile: v.b_tile.clone(),
    };
    load_tile(writer, tiling, &v, &a_side, ty);
    load_tile(writer, tiling, &v, &b_side, ty);
    multiply(writer, tiling, &v);
    writer.text.close(1);

    writer.text.section("Epilogue of each sum.");
    open_unrolled(writer, &v.i, rows_each);
    open_unrolled(writer, &v.j, columns_each);
    writer.text.line(format_args!("const {index} {} = {} + {} + {SIDE} * {};", v.row, v.row_first, v.row_lane, v.i));
    writer
        .text
        .line(format_args!("const {index} {} = {} + {} + {SIDE} * {};", v.column, v.column_first, v.column_lane, v.j));
    let inside = Code::binary(
        Level::And,
        "&&",
        &within(writer, &v.row, &tiling.rows),
        &within(writer, &v.column, &tiling.columns),
    );
    writer.text.open(format_args!("if ({})", inside.text()));
    writer.declare_axes(&v.row, &tiling.rows);
    writer.declare_axes(&v.column, &tiling.columns);
    let free: Vec<AxisId> = tiling.rows.iter().chain(&tiling.columns).copied().collect();
    let limited = open_if_inside(writer, &free);
    writer.text.line(format_args!("const {ty} {sum_name} = {}[{}][{}];", v.sums, v.i, v.j));
    writer.statements(&nest.body[1..]);
    writer.text.close(limited + 3);
}

/// Which tile this block computes, and which of its elements this thread.
fn place_tile(writer: &mut Writer<'_>, tiling: &Tiling, v: &Variables) {
    let scope = &mut writer.scope;
    let index = scope.position_type();
    let row_tiles = tiles(writer, &tiling.rows, tiling.tile_rows);
    let column_tiles = tiles(writer, &tiling.columns, tiling.tile_columns);
    let names = &writer.scope.names;
    let (rows, columns) = (names.axis_list(&tiling.rows), names.axis_list(&tiling.columns));
    let (tile_rows, tile_columns) = (tiling.tile_rows, tiling.tile_columns);
    writer.text.section(format_args!(
        "This block's tile of {tile_rows} rows {rows} and {tile_columns} columns {columns}, and this thread's place in it."
    ));
    let tile = writer.scope.fresh.fresh("tile");
    let column_tile_count = writer.scope.fresh.fresh("column_tiles");
    writer.text.line(format_args!("const {index} {tile} = blockIdx.x;"));
    writer.text.line(format_args!("const {index} {column_tile_count} = {};", column_tiles.text()));
    let (row_first, column_first) = (&v.row_first, &v.column_first);
    writer.text.line(format_args!("const {index} {column_first} = {tile} % {column_tile_count} * {tile_columns};"));
    if tiling.outer.is_empty() {
        writer.text.line(format_args!("const {index} {row_first} = {tile} / {column_tile_count} * {tile_rows};"));
    } else {
        let row_tile_count = writer.scope.fresh.fresh("row_tiles");
        let outer = writer.scope.fresh.fresh("outer");
        writer.text.line(format_args!("const {index} {row_tile_count} = {};", row_tiles.text()));
        writer.text.line(format_args!(
            "const {index} {row_first} = {tile} / {column_tile_count} % {row_tile_count} * {tile_rows};"
        ));
        writer.text.line(format_args!("const {index} {outer} = {tile} / ({column_tile_count} * {row_tile_count});"));
        writer.declare_axes(&outer, &tiling.outer);
        if let Some(beyond) = writer.beyond_limits(&tiling.outer) {
            writer.text.open(format_args!("if ({})", beyond.text()));
            writer.text.line("return;");
            writer.text.close(1);
        }
    }
    writer.text.line(format_args!("const int {} = threadIdx.x / {SIDE};", v.row_lane));
    writer.text.line(format_args!("const int {} = threadIdx.x % {SIDE};", v.column_lane));
}

/// Evaluates one factor for every element of its tile.
fn load_tile(writer: &mut Writer<'_>, tiling: &Tiling, v: &Variables, side: &Side<'_>, ty: &str) {
    let (size, depth, index) = (side.size, tiling.tile_depth, writer.scope.position_type());
    let (at, value, position, first, tile) = (&v.at, &v.value, &side.position, &side.first, &side.tile);
    // Neighbouring threads take neighbours in memory.
    let by_position = side.axes.last().is_some_and(|&axis| is_contiguous(side.factor, axis));
    let (in_position, in_depth) = if by_position {
        (format!("{at} % {size}"), format!("{at} / {size}"))
    } else {
        (format!("{at} / {depth}"), format!("{at} % {depth}"))
    };
    let threads = SIDE * SIDE;
    writer.text.open(format_args!("for (int {at} = threadIdx.x; {at} < {}; {at} += {threads})", size * depth));
    writer.text.line(format_args!("const {index} {position} = {first} + {in_position};"));
    writer.text.line(format_args!("const {index} {} = {} + {in_depth};", v.depth, v.depth_first));
    writer.text.line(format_args!("{ty} {value} = 0;"));
    let inside =
        Code::binary(Level::And, "&&", &within(writer, position, side.axes), &within(writer, &v.depth, &tiling.depth));
    writer.text.open(format_args!("if ({})", inside.text()));
    writer.declare_axes(position, side.axes);
    writer.declare_axes(&v.depth, &tiling.depth);
    let free: Vec<AxisId> = side.axes.iter().chain(&tiling.depth).copied().collect();
    let limited = open_if_inside(writer, &free);
    let code = writer.bind_loads(side.factor);
    writer.scope.bound_loads.clear();
    writer.text.line(format_args!("{value} = {};", code.text()));
    writer.text.close(limited + 1);
    writer.text.line(format_args!("{tile}[{in_depth}][{in_position}] = {value};"));
    writer.text.close(1);
}

fn multiply(writer: &mut Writer<'_>, tiling: &Tiling, v: &Variables) {
    let Variables { depth, a_tile, b_tile, row_lane, column_lane, sums, i, j, .. } = v;
    writer.text.line("__syncthreads();");
    writer.text.open(format_args!("for (int {depth} = 0; {depth} < {}; ++{depth})", tiling.tile_depth));
    open_unrolled(writer, i, tiling.tile_rows / SIDE);
    open_unrolled(writer, j, tiling.tile_columns / SIDE);
    writer.text.line(format_args!(
        "{sums}[{i}][{j}] += {a_tile}[{depth}][{row_lane} + {SIDE} * {i}] * {b_tile}[{depth}][{column_lane} + {SIDE} * {j}];"
    ));
    writer.text.close(3);
    writer.text.line("__syncthreads();");
}

fn open_unrolled(writer: &mut Writer<'_>, name: &str, count: usize) {
    writer.text.line("#pragma unroll");
    writer.text.open(format_args!("for (int {name} = 0; {name} < {count}; ++{name})"));
}

fn open_if_inside(writer: &mut Writer<'_>, axes: &[AxisId]) -> usize {
    let Some(beyond) = writer.beyond_limits(axes) else { return 0 };
    writer.text.open(format_args!("if (!({}))", beyond.text()));
    1
}

fn within(writer: &Writer<'_>, position: &str, axes: &[AxisId]) -> Code {
    let total = writer.scope.dim(writer.scope.count(axes));
    Code::binary(Level::Relation, "<", &Code::primary(position), &total)
}

/// How many tiles cover some axes.
fn tiles(writer: &Writer<'_>, axes: &[AxisId], size: usize) -> Code {
    let total = writer.scope.count(axes);
    match total.as_fixed() {
        Some(total) => Code::integer(total.div_ceil(size) as i64),
        None => {
            let padded = Code::binary(Level::Sum, "+", &writer.scope.dim(total), &Code::integer(size as i64 - 1));
            Code::binary(Level::Product, "/", &padded, &Code::integer(size as i64))
        }
    }
}

impl Variables {
    fn new(writer: &mut Writer<'_>, a: &Expr, b: &Expr) -> Variables {
        let kernel = writer.scope.kernel;
        let tile_of = |factor: &Expr, otherwise: &str| {
            let mut tensor = None;
            factor.for_each(&mut |expr| {
                if let (Expr::Load(load), None) = (expr, &tensor) {
                    tensor = Some(kernel.tensor(load.tensor).name.clone());
                }
            });
            format!("{}_tile", tensor.as_deref().unwrap_or(otherwise))
        };
        let (a_tile, b_tile) = (tile_of(a, "a"), tile_of(b, "b"));
        let mut fresh = |name: &str| writer.scope.fresh.fresh(name);
        Variables {
            row: fresh("row"),
            column: fresh("column"),
            depth: fresh("depth"),
            row_first: fresh("row_first"),
            column_first: fresh("column_first"),
            depth_first: fresh("depth_first"),
            row_lane: fresh("row_lane"),
            column_lane: fresh("column_lane"),
            a_tile: fresh(&a_tile),
            b_tile: fresh(&b_tile),
            sums: fresh("sums"),
            at: fresh("at"),
            value: fresh("value"),
            i: fresh("i"),
            j: fresh("j"),
        }
    }
}
