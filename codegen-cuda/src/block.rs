//! The mapping with one block for each position, whose threads share the loops inside.
//!
//! Values between the loops are computed by every thread alike; single elements are stored by the first thread.

use crate::mapping::Nest;
use crate::statements::{Share, Writer};

/// Writes the body of a kernel whose positions are blocks.
pub(crate) fn write(writer: &mut Writer<'_>, nest: &Nest<'_>, threads: u32) {
    let ty = writer.scope.position_type();
    let axes = writer.scope.names.axis_list(&nest.axes);
    match nest.axes.as_slice() {
        [] => {}
        [axis] => {
            let name = writer.scope.names.axis(*axis).to_owned();
            writer.text.section(format_args!("This block's {axes}."));
            writer.text.line(format_args!("const {ty} {name} = blockIdx.x;"));
        }
        _ => {
            writer.text.section(format_args!("This block's {axes}."));
            writer.declare_axes("blockIdx.x", &nest.axes);
        }
    }
    // All threads of the block leave together, so no barrier is missed.
    if let Some(beyond) = writer.beyond_limits(&nest.axes) {
        writer.text.open(format_args!("if ({})", beyond.text()));
        writer.text.line("return;");
        writer.text.close(1);
    }
    writer.parts(nest.body, Share::Block(threads));
}
