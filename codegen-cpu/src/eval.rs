//! Expressions: each node in the best form its operands allow (see `lanes.rs`).

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use kiln_ir::{Binary, Comparison, DType, Dim, Expr, Monoid, Unary};
use kiln_runtime::abi::{FAULT_INDEX, KernelContext};

use crate::emit::Emitter;
use crate::lanes::Lanes;
use crate::{math, ops};

impl Emitter<'_> {
    /// The value of an expression at the current positions.
    pub(crate) fn eval(&mut self, expr: &Expr) -> Lanes {
        match expr {
            Expr::Number(number, dtype) => Lanes::Uniform(self.constant(*dtype, number.value())),
            Expr::Index(index) => self.index_lanes(index),
            Expr::Extent(dim) => Lanes::Uniform(self.extent(*dim)),
            Expr::Local(local) => {
                self.locals[local.0 as usize].clone().expect("the verifier rejects a local before its definition")
            }
            Expr::Load(load) => self.load(load),
            Expr::Unary(op, x) => {
                let (dtype, x) = (self.dtype(x), self.eval(x));
                self.unary(*op, dtype, &x)
            }
            Expr::Binary(op, x, y) => {
                let (dtype, left) = (self.dtype(x), self.eval(x));
                if let (Binary::Pow, Expr::Number(exponent, _)) = (op, &**y)
                    && exponent.value() == 2.0
                {
                    return self.binary(Binary::Mul, dtype, &left, &left);
                }
                let right = self.eval(y);
                self.binary(*op, dtype, &left, &right)
            }
            Expr::Compare(op, x, y) => {
                let (dtype, x, y) = (self.dtype(x), self.eval(x), self.eval(y));
                self.compare(*op, dtype, &x, &y)
            }
            Expr::Select(condition, x, y) => {
                let (dtype, condition) = (self.dtype(x), self.eval(condition));
                let (x, y) = (self.eval(x), self.eval(y));
                self.select(dtype, &condition, &x, &y)
            }
            Expr::Cast(to, x) => {
                let (from, x) = (self.dtype(x), self.eval(x));
                self.cast(from, *to, &x)
            }
            Expr::Check(x, bound) => self.check(x, *bound),
        }
    }

    fn unary(&mut self, op: Unary, dtype: DType, x: &Lanes) -> Lanes {
        if op == Unary::Not {
            return match x {
                Lanes::Packed(masks) => Lanes::Packed(masks.iter().map(|&mask| self.b.ins().bnot(mask)).collect()),
                _ => self.map(DType::Bool, x, |e, x| e.b.ins().bxor_imm_u(x, 1)),
            };
        }
        let packs = match op {
            Unary::Neg | Unary::Abs => true,
            Unary::Sqrt | Unary::Floor => dtype.is_float(),
            Unary::Exp | Unary::Log | Unary::Tanh | Unary::Erf => dtype == DType::F32,
            Unary::Sin | Unary::Cos | Unary::Not => false,
        };
        if packs
            && !matches!(x, Lanes::Uniform(_))
            && let Some(ty) = self.packable(dtype)
        {
            let registers = self.packed(x, ty);
            return Lanes::Packed(registers.into_iter().map(|x| self.unary_value(op, dtype, x)).collect());
        }
        self.map(dtype, x, |e, x| e.unary_value(op, dtype, x))
    }

    pub(crate) fn binary(&mut self, op: Binary, dtype: DType, x: &Lanes, y: &Lanes) -> Lanes {
        if let (Lanes::Uniform(x), Lanes::Uniform(y)) = (x, y) {
            return Lanes::Uniform(self.binary_value(op, dtype, *x, *y));
        }
        let packs = match op {
            Binary::Add | Binary::Sub | Binary::Mul => true,
            Binary::Div => dtype.is_float(),
            Binary::Max | Binary::Min => dtype.is_float() || dtype == DType::I32,
            Binary::Pow | Binary::And | Binary::Or => false,
        };
        if packs && let Some(ty) = self.packable(dtype) {
            let (x, y) = (self.packed(x, ty), self.packed(y, ty));
            return Lanes::Packed(x.into_iter().zip(y).map(|(x, y)| self.binary_value(op, dtype, x, y)).collect());
        }
        if matches!(op, Binary::And | Binary::Or)
            && let Some(ty) = self.mask_type(x).or(self.mask_type(y))
        {
            let (x, y) = (self.masks(x, ty), self.masks(y, ty));
            return Lanes::Packed(x.into_iter().zip(y).map(|(x, y)| self.binary_value(op, dtype, x, y)).collect());
        }
        let (x, y) = (self.split(x, dtype), self.split(y, dtype));
        Lanes::Split(x.into_iter().zip(y).map(|(x, y)| self.binary_value(op, dtype, x, y)).collect())
    }

    fn compare(&mut self, op: Comparison, dtype: DType, x: &Lanes, y: &Lanes) -> Lanes {
        if let (Lanes::Uniform(x), Lanes::Uniform(y)) = (x, y) {
            return Lanes::Uniform(ops::compare(&mut self.b, op, dtype, *x, *y));
        }
        if let Some(ty) = self.packable(dtype) {
            let (x, y) = (self.packed(x, ty), self.packed(y, ty));
            let masks = x.into_iter().zip(y).map(|(x, y)| ops::compare(&mut self.b, op, dtype, x, y));
            return Lanes::Packed(masks.collect());
        }
        let (x, y) = (self.split(x, dtype), self.split(y, dtype));
        Lanes::Split(x.into_iter().zip(y).map(|(x, y)| ops::compare(&mut self.b, op, dtype, x, y)).collect())
    }

    pub(crate) fn select(&mut self, dtype: DType, condition: &Lanes, x: &Lanes, y: &Lanes) -> Lanes {
        if let (Lanes::Uniform(condition), Lanes::Uniform(x), Lanes::Uniform(y)) = (condition, x, y) {
            return Lanes::Uniform(self.b.ins().select(*condition, *x, *y));
        }
        if let Some(ty) = self.packable(dtype) {
            let masks = self.masks(condition, ops::bits_type(ty));
            let (x, y) = (self.packed(x, ty), self.packed(y, ty));
            let chosen = masks.into_iter().zip(x).zip(y).map(|((mask, x), y)| ops::select(&mut self.b, mask, x, y));
            return Lanes::Packed(chosen.collect());
        }
        let (conditions, x, y) = (self.split(condition, DType::Bool), self.split(x, dtype), self.split(y, dtype));
        let chosen = conditions.into_iter().zip(x).zip(y);
        Lanes::Split(chosen.map(|((condition, x), y)| self.b.ins().select(condition, x, y)).collect())
    }

    fn cast(&mut self, from: DType, to: DType, x: &Lanes) -> Lanes {
        if from == to {
            return x.clone();
        }
        match (x, from, to) {
            (Lanes::Packed(_), DType::I32, DType::F32) | (Lanes::Packed(_), DType::F32, DType::I32) => {
                let ty = ops::vector_type(from).expect("both have vectors");
                let registers = self.packed(x, ty);
                Lanes::Packed(registers.into_iter().map(|x| self.cast_value(from, to, x)).collect())
            }
            (Lanes::Packed(_), DType::Bool, _) if self.packable(to).is_some() => {
                let one = self.constant(to, 1.0);
                let zero = self.zero(to);
                self.select(to, x, &Lanes::Uniform(one), &zero)
            }
            (Lanes::Packed(_), _, DType::Bool) => {
                let zero = self.zero(from);
                self.compare(Comparison::Ne, from, x, &zero)
            }
            _ => self.map(from, x, |e, x| e.cast_value(from, to, x)),
        }
    }

    /// Applies a scalar function in each lane, once where lanes agree.
    fn map(&mut self, dtype: DType, x: &Lanes, function: impl Fn(&mut Self, Value) -> Value) -> Lanes {
        if let Lanes::Uniform(x) = x {
            return Lanes::Uniform(function(self, *x));
        }
        let values = self.split(x, dtype);
        Lanes::Split(values.into_iter().map(|x| function(self, x)).collect())
    }

    fn unary_value(&mut self, op: Unary, dtype: DType, x: Value) -> Value {
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
            (Unary::Floor, _) => x,
            (Unary::Exp, DType::F32) => math::exp(b, x),
            (Unary::Log, DType::F32) => math::log(b, x),
            (Unary::Tanh, DType::F32) => math::tanh(b, x),
            (Unary::Erf, DType::F32) => math::erf(b, x),
            (Unary::Sin, DType::F32) => math::sin(b, x),
            (Unary::Cos, DType::F32) => math::cos(b, x),
            (Unary::Exp, DType::F64) => self.call_math(KernelContext::OFFSET_EXP_F64, types::F64, &[x]),
            (Unary::Log, DType::F64) => self.call_math(KernelContext::OFFSET_LOG_F64, types::F64, &[x]),
            (Unary::Tanh, DType::F64) => self.call_math(KernelContext::OFFSET_TANH_F64, types::F64, &[x]),
            (Unary::Erf, DType::F64) => self.call_math(KernelContext::OFFSET_ERF_F64, types::F64, &[x]),
            (Unary::Sin, DType::F64) => self.call_math(KernelContext::OFFSET_SIN_F64, types::F64, &[x]),
            (Unary::Cos, DType::F64) => self.call_math(KernelContext::OFFSET_COS_F64, types::F64, &[x]),
            // Functions of integers go through f64, as in the interpreter.
            (Unary::Sqrt | Unary::Exp | Unary::Log | Unary::Tanh | Unary::Erf | Unary::Sin | Unary::Cos, _) => {
                let x = self.cast_value(dtype, DType::F64, x);
                let y = self.unary_value(op, DType::F64, x);
                self.cast_value(DType::F64, dtype, y)
            }
        }
    }

    pub(crate) fn binary_value(&mut self, op: Binary, dtype: DType, x: Value, y: Value) -> Value {
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
            (Binary::Pow, false) => {
                let (x, y) = (self.cast_value(dtype, DType::F64, x), self.cast_value(dtype, DType::F64, y));
                let power = self.binary_value(Binary::Pow, DType::F64, x, y);
                self.cast_value(DType::F64, dtype, power)
            }
        }
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

    fn cast_value(&mut self, from: DType, to: DType, x: Value) -> Value {
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

    /// An index that must lie in `0..bound`; elsewhere the fault is reported and 0 is used.
    fn check(&mut self, expr: &Expr, bound: Dim) -> Lanes {
        let value = self.eval(expr);
        if let Lanes::Uniform(value) = value {
            return Lanes::Uniform(self.check_lane(expr, value, bound, 0));
        }
        let values = self.split(&value, DType::I64);
        let checked = values.into_iter().enumerate().map(|(lane, value)| self.check_lane(expr, value, bound, lane));
        Lanes::Split(checked.collect())
    }

    fn check_lane(&mut self, expr: &Expr, value: Value, bound: Dim, lane: usize) -> Value {
        let bound = self.extent(bound);
        let (failed, after) = (self.b.create_block(), self.b.create_block());
        let result = self.b.append_block_param(after, types::I64);
        self.b.set_cold_block(failed);
        let outside = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, value, bound);
        self.b.ins().brif(outside, failed, &[], after, &[value.into()]);
        self.b.switch_to_block(failed);
        self.b.seal_block(failed);
        // The position is that of the element checked; a computed index has none.
        let mut source = expr;
        while let Expr::Cast(_, inner) = source {
            source = inner;
        }
        let position = match source {
            Expr::Load(load) => self.element_position(load, lane),
            _ => self.int(0),
        };
        let cell = self.context(types::I64, KernelContext::OFFSET_FAULT);
        let code = self.int(FAULT_INDEX as i64);
        self.call(KernelContext::OFFSET_REPORT_FAULT, &[cell, code, position, value, bound], None);
        let zero = self.int(0);
        self.b.ins().jump(after, &[zero.into()]);
        self.b.seal_block(after);
        self.b.switch_to_block(after);
        result
    }
}
