//! The comment above a kernel and its parameter list: what a reader wants to know before the body.

use kiln_ir::kernel::Access;
use kiln_ir::{Dim, Type};

use crate::kernel::{Launch, Parameter};
use crate::mapping::{Mapping, nest};
use crate::scope::{BATCH, Scope, c_type};

/// Name, the user's lines, the launch and the bytes moved.
pub(crate) fn comment(scope: &Scope<'_>, mapping: &Mapping, launch: &Launch) -> String {
    let kernel = scope.kernel;
    let mut lines = vec![kernel.name.clone()];
    for (at, place) in kernel.places.iter().filter(|place| !place.is_none()).enumerate() {
        lines.push(format!("  {:<9}{place}", if at == 0 { "from" } else { "" }));
    }
    let each = match mapping {
        Mapping::Tiles(tiling) => {
            let (rows, columns) = (scope.names.axis_list(&tiling.rows), scope.names.axis_list(&tiling.columns));
            format!("one block for each {} x {} tile of {rows} x {columns}", tiling.tile_rows, tiling.tile_columns)
        }
        Mapping::Threads => format!("one thread for each {}", outer_axes(scope)),
        Mapping::Block { .. } if nest(kernel).is_none_or(|nest| nest.axes.is_empty()) => "one block".to_owned(),
        Mapping::Block { .. } => format!("one block for each {}", outer_axes(scope)),
    };
    lines.push(format!("  {:<9}{launch}: {each}", "launch"));
    for (verb, accesses) in [("reads", [Access::Read, Access::Update]), ("writes", [Access::Write, Access::Update])] {
        lines.push(format!("  {verb:<9}{}", bytes(scope, &accesses)));
    }
    lines.iter().map(|line| format!("// {line}\n")).collect()
}

/// The C signature, one parameter a line with its shape, and what each parameter is.
pub(crate) fn signature(scope: &Scope<'_>, symbol: &str, launch: &Launch) -> (String, Vec<Parameter>) {
    let kernel = scope.kernel;
    let mut rows = Vec::new();
    let mut parameters = Vec::new();
    for number in 0..kernel.tensors.len() {
        let id = kiln_ir::TensorId(number as u32);
        let tensor = kernel.tensor(id);
        let qualifier = if tensor.access == Access::Read { "const " } else { "" };
        let declaration = format!("{qualifier}{}* __restrict__ {}", c_type(tensor.ty.dtype), scope.names.tensor(id));
        rows.push((declaration, shape(&tensor.ty, tensor.access)));
        parameters.push(Parameter::Tensor(id));
    }
    if scope.uses_batch() {
        rows.push((format!("const int {BATCH}"), format!("at most {}", scope.max_batch)));
        parameters.push(Parameter::Batch);
    }
    if let Some(fault) = &scope.fault {
        rows.push((format!("kiln_fault* {fault}"), String::new()));
        parameters.push(Parameter::Fault);
    }
    let width = rows.iter().map(|(declaration, _)| declaration.len() + 1).max().unwrap_or(0);
    let last = rows.len().saturating_sub(1);
    let mut text = format!("extern \"C\" __global__ void __launch_bounds__({}) {symbol}(\n", launch.block);
    for (at, (declaration, comment)) in rows.iter().enumerate() {
        let declaration = format!("{declaration}{}", if at == last { "" } else { "," });
        let line = if comment.is_empty() { declaration } else { format!("{declaration:<width$}  // {comment}") };
        text.push_str(&format!("    {line}\n"));
    }
    text.push_str(") {\n");
    (text, parameters)
}

/// `[B, 6, 28, 28]`.
fn shape(ty: &Type, access: Access) -> String {
    let dims: Vec<String> = ty.shape.dims().iter().map(Dim::to_string).collect();
    let note = if access == Access::Update { ", in place" } else { "" };
    format!("[{}]{note}", dims.join(", "))
}

fn outer_axes(scope: &Scope<'_>) -> String {
    nest(scope.kernel).map_or_else(String::new, |nest| scope.names.axis_list(&nest.axes))
}

/// Bytes of all tensors with one of these accesses, each counted once: `3136 * B + 624 bytes`.
fn bytes(scope: &Scope<'_>, accesses: &[Access]) -> String {
    let (mut each_sample, mut fixed) = (0, 0);
    for tensor in scope.kernel.tensors.iter().filter(|tensor| accesses.contains(&tensor.access)) {
        let count = tensor.ty.shape.count();
        let size_bytes = count.factor * tensor.ty.dtype.size_bytes();
        *(if count.batch { &mut each_sample } else { &mut fixed }) += size_bytes;
    }
    match (each_sample, fixed) {
        (0, fixed) => format!("{fixed} bytes"),
        (each_sample, 0) => format!("{each_sample} * {BATCH} bytes"),
        (each_sample, fixed) => format!("{each_sample} * {BATCH} + {fixed} bytes"),
    }
}
