//! Operations on one Cranelift value, the same words for a scalar and for a 128-bit vector.
//!
//! Every function reads the width off its operands' type and emits the same sequence of floating operations for both, so that
//! the scalar tail of a loop computes the very bits that its vector lanes do.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Opcode, Type, Value, types};
use cranelift_frontend::FunctionBuilder;
use kiln_ir::{Comparison, DType};

/// The dtype in which values of a dtype are held and computed with: halves are the `f32` of the same value.
pub(crate) fn held(dtype: DType) -> DType {
    if dtype.is_half() { DType::F32 } else { dtype }
}

/// The Cranelift type of one value.
pub(crate) fn scalar_type(dtype: DType) -> Type {
    match dtype {
        DType::Bool | DType::U8 => types::I8,
        DType::I32 => types::I32,
        DType::I64 => types::I64,
        DType::F16 | DType::BF16 | DType::F32 => types::F32,
        DType::F64 => types::F64,
    }
}

/// The 128-bit vector of this dtype, where there is arithmetic on one.
pub(crate) fn vector_type(dtype: DType) -> Option<Type> {
    match dtype {
        DType::F16 | DType::BF16 | DType::F32 => Some(types::F32X4),
        DType::F64 => Some(types::F64X2),
        DType::I32 => Some(types::I32X4),
        DType::I64 => Some(types::I64X2),
        DType::Bool | DType::U8 => None,
    }
}

/// The integers of the same width and lanes.
pub(crate) fn bits_type(ty: Type) -> Type {
    ty.as_int()
}

/// A literal of a scalar type.
pub(crate) fn constant(b: &mut FunctionBuilder<'_>, ty: Type, value: f64) -> Value {
    match ty {
        types::F32 => b.ins().f32const(value as f32),
        types::F64 => b.ins().f64const(value),
        types::I64 => b.ins().iconst(types::I64, value as i64),
        types::I32 => b.ins().iconst(types::I32, i64::from(value as i32 as u32)),
        _ => b.ins().iconst(types::I8, i64::from(value as u8)),
    }
}

/// The `f32` literal, in every lane of `ty`.
pub(crate) fn f32_constant(b: &mut FunctionBuilder<'_>, ty: Type, value: f32) -> Value {
    if ty.is_vector() { vector_constant(b, ty, &value.to_le_bytes()) } else { b.ins().f32const(value) }
}

/// The 32-bit integer literal, in every lane of `ty`.
pub(crate) fn i32_constant(b: &mut FunctionBuilder<'_>, ty: Type, value: i32) -> Value {
    if ty.is_vector() {
        vector_constant(b, ty, &value.to_le_bytes())
    } else {
        b.ins().iconst(ty, i64::from(value as u32))
    }
}

/// A vector literal whose lanes repeat `pattern`; it lies in the function's own constant pool.
pub(crate) fn vector_constant(b: &mut FunctionBuilder<'_>, ty: Type, pattern: &[u8]) -> Value {
    let bytes: Vec<u8> = pattern.iter().copied().cycle().take(16).collect();
    let constant = b.func.dfg.constants.insert(bytes.into());
    b.ins().vconst(ty, constant)
}

/// The value in every lane; literals become vector literals.
pub(crate) fn splat(b: &mut FunctionBuilder<'_>, ty: Type, x: Value) -> Value {
    use cranelift_codegen::ir::InstructionData;
    let definition = b.func.dfg.value_def(x).inst().map(|inst| b.func.dfg.insts[inst]);
    match definition {
        Some(InstructionData::UnaryIeee32 { imm, .. }) => vector_constant(b, ty, &imm.bits().to_le_bytes()),
        Some(InstructionData::UnaryIeee64 { imm, .. }) => vector_constant(b, ty, &imm.bits().to_le_bytes()),
        _ => b.ins().splat(ty, x),
    }
}

/// The same bits as another type of the same size.
pub(crate) fn bitcast(b: &mut FunctionBuilder<'_>, ty: Type, x: Value) -> Value {
    if b.func.dfg.value_type(x) == ty {
        return x;
    }
    // Lane counts may differ, and then Cranelift wants to know in which order lanes lie.
    let flags = MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little);
    b.ins().bitcast(ty, flags, x)
}

/// `condition ? x : y`; the condition of vectors is a mask of the same lane width.
pub(crate) fn select(b: &mut FunctionBuilder<'_>, condition: Value, x: Value, y: Value) -> Value {
    let ty = b.func.dfg.value_type(x);
    if ty.is_vector() {
        let condition = bitcast(b, ty, condition);
        if is_zero(b, y) { b.ins().band(condition, x) } else { b.ins().bitselect(condition, x, y) }
    } else {
        b.ins().select(condition, x, y)
    }
}

/// A comparison: `i8` 0 or 1 for scalars, a mask for vectors.
pub(crate) fn compare(b: &mut FunctionBuilder<'_>, op: Comparison, dtype: DType, x: Value, y: Value) -> Value {
    if dtype.is_float() {
        let condition = match op {
            Comparison::Eq => FloatCC::Equal,
            Comparison::Ne => FloatCC::NotEqual,
            Comparison::Lt => FloatCC::LessThan,
            Comparison::Le => FloatCC::LessThanOrEqual,
            Comparison::Gt => FloatCC::GreaterThan,
            Comparison::Ge => FloatCC::GreaterThanOrEqual,
        };
        return b.ins().fcmp(condition, x, y);
    }
    let unsigned = matches!(dtype, DType::U8 | DType::Bool);
    let condition = match op {
        Comparison::Eq => IntCC::Equal,
        Comparison::Ne => IntCC::NotEqual,
        Comparison::Lt => IntCC::SignedLessThan,
        Comparison::Le => IntCC::SignedLessThanOrEqual,
        Comparison::Gt => IntCC::SignedGreaterThan,
        Comparison::Ge => IntCC::SignedGreaterThanOrEqual,
    };
    b.ins().icmp(if unsigned { condition.unsigned() } else { condition }, x, y)
}

/// The greater of two floats, NaN if either is.
pub(crate) fn float_max(b: &mut FunctionBuilder<'_>, x: Value, y: Value) -> Value {
    propagate_nan(b, x, y, |b, x, y| {
        let less = b.ins().fcmp(FloatCC::LessThan, y, x);
        select(b, less, x, y)
    })
}

/// The smaller of two floats, NaN if either is.
pub(crate) fn float_min(b: &mut FunctionBuilder<'_>, x: Value, y: Value) -> Value {
    propagate_nan(b, x, y, |b, x, y| {
        let less = b.ins().fcmp(FloatCC::LessThan, x, y);
        select(b, less, x, y)
    })
}

/// Integer division towards zero that cannot trap: a zero divisor counts as one, and `MIN / -1` wraps.
pub(crate) fn int_div(b: &mut FunctionBuilder<'_>, unsigned: bool, x: Value, y: Value) -> Value {
    let ty = b.func.dfg.value_type(y);
    let one = b.ins().iconst(ty, 1);
    let is_zero = b.ins().icmp_imm_s(IntCC::Equal, y, 0);
    let y = b.ins().select(is_zero, one, y);
    if unsigned {
        return b.ins().udiv(x, y);
    }
    let is_minus_one = b.ins().icmp_imm_s(IntCC::Equal, y, -1);
    let divisor = b.ins().select(is_minus_one, one, y);
    let quotient = b.ins().sdiv(x, divisor);
    let negated = b.ins().ineg(x);
    b.ins().select(is_minus_one, negated, quotient)
}

/// The remainder that belongs to [`int_div`]; `x` itself where the divisor is zero.
pub(crate) fn int_rem(b: &mut FunctionBuilder<'_>, unsigned: bool, x: Value, y: Value) -> Value {
    let quotient = int_div(b, unsigned, x, y);
    let product = b.ins().imul(quotient, y);
    b.ins().isub(x, product)
}

/// Whether a scalar or vector is a literal other than NaN.
fn is_number(b: &FunctionBuilder<'_>, x: Value) -> bool {
    use cranelift_codegen::ir::InstructionData;
    let Some(inst) = b.func.dfg.value_def(x).inst() else { return false };
    match b.func.dfg.insts[inst] {
        InstructionData::UnaryIeee32 { imm, .. } => !f32::from_bits(imm.bits()).is_nan(),
        InstructionData::UnaryIeee64 { imm, .. } => !f64::from_bits(imm.bits()).is_nan(),
        InstructionData::UnaryConst { opcode: Opcode::Vconst, constant_handle } => {
            let ty = b.func.dfg.value_type(x);
            let bytes = b.func.dfg.constants.get(constant_handle).as_slice();
            match ty {
                types::F32X4 => bytes.as_chunks().0.iter().all(|lane| !f32::from_le_bytes(*lane).is_nan()),
                types::F64X2 => bytes.as_chunks().0.iter().all(|lane| !f64::from_le_bytes(*lane).is_nan()),
                _ => false,
            }
        }
        _ => false,
    }
}

/// Whether a vector is the literal +0 in every lane.
fn is_zero(b: &FunctionBuilder<'_>, x: Value) -> bool {
    use cranelift_codegen::ir::InstructionData;
    let Some(inst) = b.func.dfg.value_def(x).inst() else { return false };
    match b.func.dfg.insts[inst] {
        InstructionData::UnaryConst { opcode: Opcode::Vconst, constant_handle } => {
            b.func.dfg.constants.get(constant_handle).as_slice().iter().all(|byte| *byte == 0)
        }
        _ => false,
    }
}

/// `pick` is one machine instruction (`maxps`) that yields its second operand where either is NaN. With a literal first that is
/// already right; otherwise a NaN in the first operand needs one more select.
fn propagate_nan(
    b: &mut FunctionBuilder<'_>,
    x: Value,
    y: Value,
    pick: impl FnOnce(&mut FunctionBuilder<'_>, Value, Value) -> Value,
) -> Value {
    if is_number(b, x) {
        return pick(b, x, y);
    }
    if is_number(b, y) {
        return pick(b, y, x);
    }
    let picked = pick(b, x, y);
    let is_nan = b.ins().fcmp(FloatCC::Unordered, x, x);
    select(b, is_nan, x, picked)
}
