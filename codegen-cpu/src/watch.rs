//! What the runtime looks at after a launch, to find the first value that is not finite.

use kiln_ir::kernel::Access;
use kiln_ir::program::Launch;
use kiln_ir::{DType, Expr, Program};
use kiln_runtime::abi;

use crate::checks::for_each_expr;

/// The floating tensors of a launch, and what to say of it.
pub(crate) fn watch(program: &Program, launch: &Launch, element: fn(DType) -> abi::ElementType) -> abi::Watch {
    let kernel = program.kernel(launch.kernel);
    let mut is_infinite = false;
    for_each_expr(&kernel.body, &mut |expr| {
        expr.for_each(&mut |x| is_infinite |= matches!(x, Expr::Number(number, _) if number.value().is_infinite()));
    });
    let tensors = kernel.tensors.iter().zip(&launch.buffers).filter(|(tensor, _)| tensor.ty.dtype.is_float());
    let watched = tensors.map(|(tensor, &id)| {
        let count = tensor.ty.shape.count();
        abi::Watched {
            name: program.buffer(id).name.clone().into(),
            element: element(tensor.ty.dtype),
            offset: program.buffer(id).offset as u64,
            elements: abi::Extent { fixed: count.factor as u64, batch: count.batch },
            written: tensor.access != Access::Read,
        }
    });
    let place = &launch.place;
    let what = place.method.as_deref().unwrap_or("a kernel");
    let what = if place.is_none() { what.to_owned() } else { format!("{what} at {place}") };
    abi::Watch { what: what.into(), makes_infinities: is_infinite, tensors: watched.collect() }
}
