//! The mapping with one thread for each position.

use crate::mapping::{Nest, THREADS};
use crate::statements::{Share, Writer};
use crate::text::Level;

/// Writes the body of a kernel whose positions are threads.
pub(crate) fn write(writer: &mut Writer<'_>, nest: &Nest<'_>) {
    let scope = &mut writer.scope;
    let position = match nest.axes.as_slice() {
        [axis] => scope.names.axis(*axis).to_owned(),
        _ => scope.fresh.fresh("position"),
    };
    let (ty, total) = (scope.position_type(), scope.dim(scope.count(&nest.axes)));
    let block = if scope.wide { "(i64)blockIdx.x" } else { "blockIdx.x" };
    let axes = scope.names.axis_list(&nest.axes);

    writer.text.section(format_args!("This thread's {axes}."));
    writer.text.line(format_args!("const {ty} {position} = {block} * {THREADS} + threadIdx.x;"));
    writer.text.open(format_args!("if ({position} >= {})", total.at(Level::Sum)));
    writer.text.line("return;");
    writer.text.close(1);
    if nest.axes.len() > 1 {
        writer.declare_axes(&position, &nest.axes);
    }
    if let Some(beyond) = writer.beyond_limits(&nest.axes) {
        writer.text.open(format_args!("if ({})", beyond.text()));
        writer.text.line("return;");
        writer.text.close(1);
    }
    writer.parts(nest.body, Share::Alone);
}
