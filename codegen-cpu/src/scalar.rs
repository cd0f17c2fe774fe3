//! The operations of expressions on one Cranelift value: a scalar of any dtype, or a register where `eval.rs` packs.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use kiln_ir::{Binary, DType, Monoid, Unary};
use kiln_runtime::abi::KernelContext;

use crate::emit::Emitter;
use crate::{math, ops};

impl Emitter<'_> {
    /// A function of one value.
    pub(crate) fn unary_value(&mut self, op: Unary, dtype: DType, x: Value) -> Value {
        if dtype.is_half() {
            let y = self.unary_value(op, DType::F32, x);
            return math::half::round(&mut self.b, dtype, y);
        }
        let b = &mut self.b;
        match (op, dtype) {
            (Unary::Neg, _) if dtype.is_float() => b.ins().fneg(x),
            (Unary::Neg, _) => b.ins().ineg(x),
            (Unary::Abs, DType::U8 | DType::Bool) => x,
            (Unary::Abs, _) if dtype.is_float() => b.ins().fabs(x),
            (Unary::Abs, _) => b.ins().iabs(x),
            (Unary::Not, _) => b.ins().bxor_imm_u(x, 1),
            (Unary::Sqrt, _) if dtype.is_float() => b.ins().sqrt(x),
            (Unary::Floor, _) if dtype.is_float() => b.ins().floor(x),
            (Unary::Ceil, _) if dtype.is_float() => b.ins().ceil(x),
            (Unary::Trunc, _) if dtype.is_float() => b.ins().trunc(x),
            (Unary::Round, _) if dtype.is_float() => b.ins().nearest(x),
            (Unary::Floor | Unary::Ceil | Unary::Trunc | Unary::Round, _) => x,
            (Unary::Exp, DType::F32) => math::exp(b, x),
            (Unary::Log, DType::F32) => math::log(b, x),
            (Unary::Tanh, DType::F32) => math::tanh(b, x),
            (Unary::Erf, DType::F32) => math::erf(b, x),
            (Unary::Atan, DType::F32) => math::atan(b, x),
            (Unary::Sin | Unary::Cos, DType::F32) => self.turned(op, x),
            _ => self.call_math(function_f64(op), types::F64, &[x]),
        }
    }

    /// The sine or cosine of an `f32`. Few arguments are so large that they need more digits of π than the polynomial has.
    fn turned(&mut self, op: Unary, x: Value) -> Value {
        let (offset, near) = match op {
            Unary::Sin => (KernelContext::OFFSET_SIN_F64, math::sin(&mut self.b, x)),
            _ => (KernelContext::OFFSET_COS_F64, math::cos(&mut self.b, x)),
        };
        let (far, after) = (self.b.create_block(), self.b.create_block());
        let result = self.b.append_block_param(after, types::F32);
        self.b.set_cold_block(far);
        let magnitude = self.b.ins().fabs(x);
        let limit = self.b.ins().f32const(math::FAR);
        let is_far = self.b.ins().fcmp(FloatCC::GreaterThan, magnitude, limit);
        self.b.ins().brif(is_far, far, &[], after, &[near.into()]);
        self.b.switch_to_block(far);
        self.b.seal_block(far);
        let wide = self.b.ins().fpromote(types::F64, x);
        let y = self.call_math(offset, types::F64, &[wide]);
        let y = self.b.ins().fdemote(types::F32, y);
        self.b.ins().jump(after, &[y.into()]);
        self.b.seal_block(after);
        self.b.switch_to_block(after);
        result
    }

    /// A function of two values.
    pub(crate) fn binary_value(&mut self, op: Binary, dtype: DType, x: Value, y: Value) -> Value {
        if dtype.is_half() {
            let z = self.binary_value(op, DType::F32, x, y);
            return math::half::round(&mut self.b, dtype, z);
        }
        let b = &mut self.b;
        let unsigned = matches!(dtype, DType::U8 | DType::Bool);
        match (op, dtype.is_float()) {
            (Binary::Add, true) => b.ins().fadd(x, y),
            (Binary::Sub, true) => b.ins().fsub(x, y),
            (Binary::Mul, true) => b.ins().fmul(x, y),
            (Binary::Div, true) => b.ins().fdiv(x, y),
            (Binary::Max, true) => ops::float_max(b, x, y),
            (Binary::Min, true) => ops::float_min(b, x, y),
            (Binary::Pow, true) if dtype == DType::F32 => {
                self.call_math(KernelContext::OFFSET_POW_F32, types::F32, &[x, y])
            }
            (Binary::Pow, true) => self.call_math(KernelContext::OFFSET_POW_F64, types::F64, &[x, y]),
            (Binary::Pow, false) => self.call_in(DType::I64, KernelContext::OFFSET_POW_I64, dtype, x, y),
            (Binary::Rem, true) => self.call_in(DType::F64, KernelContext::OFFSET_REM_F64, dtype, x, y),
            (Binary::Rem, false) => ops::int_rem(b, unsigned, x, y),
            (Binary::Add, false) if dtype == DType::Bool => b.ins().bor(x, y),
            (Binary::Mul, false) if dtype == DType::Bool => b.ins().band(x, y),
            (Binary::Add, false) => b.ins().iadd(x, y),
            (Binary::Sub, false) => b.ins().isub(x, y),
            (Binary::Mul, false) => b.ins().imul(x, y),
            (Binary::Div, false) => ops::int_div(b, unsigned, x, y),
            (Binary::Max, false) if unsigned => b.ins().umax(x, y),
            (Binary::Max, false) => b.ins().smax(x, y),
            (Binary::Min, false) if unsigned => b.ins().umin(x, y),
            (Binary::Min, false) => b.ins().smin(x, y),
            (Binary::And, _) => b.ins().band(x, y),
            (Binary::Or, _) => b.ins().bor(x, y),
        }
    }

    /// A function of two values that the context has in another dtype, which holds every value of this one.
    fn call_in(&mut self, wide: DType, offset: i32, dtype: DType, x: Value, y: Value) -> Value {
        let (x, y) = (self.cast_value(dtype, wide, x), self.cast_value(dtype, wide, y));
        let result = self.call_math(offset, ops::scalar_type(wide), &[x, y]);
        self.cast_value(wide, dtype, result)
    }

    /// The combination of a reduction; `ArgMax` has its own in `reduce.rs`.
    pub(crate) fn combine(&mut self, monoid: Monoid, dtype: DType, x: Value, y: Value) -> Value {
        let op = match monoid {
            Monoid::Sum => Binary::Add,
            Monoid::Product => Binary::Mul,
            Monoid::Max | Monoid::ArgMax => Binary::Max,
            Monoid::Min => Binary::Min,
        };
        self.binary_value(op, dtype, x, y)
    }

    /// A conversion.
    pub(crate) fn cast_value(&mut self, from: DType, to: DType, x: Value) -> Value {
        if from == to {
            return x;
        }
        if to.is_half() {
            let x = self.cast_value(ops::held(from), DType::F32, x);
            return math::half::round(&mut self.b, to, x);
        }
        let from = ops::held(from);
        let b = &mut self.b;
        let held = b.func.dfg.value_type(x);
        let target = ops::scalar_type(to);
        match (from, to) {
            _ if from == to => x,
            (DType::F32, DType::F64) => b.ins().fpromote(target, x),
            (DType::F64, DType::F32) => b.ins().fdemote(target, x),
            (_, DType::Bool) if from.is_float() => {
                let zero = ops::constant(b, held, 0.0);
                b.ins().fcmp(FloatCC::NotEqual, x, zero)
            }
            (_, DType::Bool) => b.ins().icmp_imm_s(IntCC::NotEqual, x, 0),
            (_, DType::U8) if from.is_float() => {
                let wide = b.ins().fcvt_to_sint_sat(types::I64, x);
                b.ins().ireduce(types::I8, wide)
            }
            _ if held.is_vector() && from.is_float() => b.ins().fcvt_to_sint_sat(types::I32X4, x),
            _ if held.is_vector() => b.ins().fcvt_from_sint(types::F32X4, x),
            _ if from.is_float() => b.ins().fcvt_to_sint_sat(target, x),
            (DType::U8 | DType::Bool, _) if to.is_float() => {
                let wide = b.ins().uextend(types::I32, x);
                b.ins().fcvt_from_sint(target, wide)
            }
            _ if to.is_float() => b.ins().fcvt_from_sint(target, x),
            (DType::U8 | DType::Bool, _) if held != target => b.ins().uextend(target, x),
            (DType::I32, DType::I64) => b.ins().sextend(target, x),
            _ if held != target => b.ins().ireduce(target, x),
            _ => x,
        }
    }
}

/// Where the context has a function of `f64`.
fn function_f64(op: Unary) -> i32 {
    match op {
        Unary::Exp => KernelContext::OFFSET_EXP_F64,
        Unary::Log => KernelContext::OFFSET_LOG_F64,
        Unary::Tanh => KernelContext::OFFSET_TANH_F64,
        Unary::Erf => KernelContext::OFFSET_ERF_F64,
        Unary::Sin => KernelContext::OFFSET_SIN_F64,
        Unary::Cos => KernelContext::OFFSET_COS_F64,
        Unary::Atan => KernelContext::OFFSET_ATAN_F64,
        _ => unreachable!("the verifier gives `{}` no such dtype", op.name()),
    }
}
