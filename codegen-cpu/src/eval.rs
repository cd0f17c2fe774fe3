//! Expressions: each node in the best form its operands allow (see `lanes.rs`).

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use kiln_ir::{Binary, Comparison, DType, Dim, Expr, Unary};
use kiln_runtime::abi::{FAULT_INDEX, FAULT_WRAPPED_INDEX, KernelContext, fault_code};

use crate::checks;
use crate::emit::Emitter;
use crate::lanes::Lanes;
use crate::ops;

impl Emitter<'_> {
    /// The value of an expression at the current positions. A formula may name a costly part of it several times: Cranelift merges
    /// equal operations but not equal calls, so each is written once here.
    pub(crate) fn eval(&mut self, expr: &Expr) -> Lanes {
        let outer = std::mem::take(&mut self.costly);
        let value = self.value(expr);
        self.costly = outer;
        value
    }

    fn value(&mut self, expr: &Expr) -> Lanes {
        let costly = match expr {
            Expr::Unary(op, _) => op.is_transcendental(),
            Expr::Binary(op, ..) => matches!(op, Binary::Pow | Binary::Rem),
            _ => false,
        };
        if !costly {
            return self.node(expr);
        }
        if let Some((_, known)) = self.costly.iter().find(|(held, _)| held == expr) {
            return known.clone();
        }
        let value = self.node(expr);
        self.costly.push((expr.clone(), value.clone()));
        value
    }

    fn node(&mut self, expr: &Expr) -> Lanes {
        match expr {
            Expr::Number(number, dtype) => Lanes::Uniform(self.constant(*dtype, number.value())),
            Expr::Index(index) => self.index_lanes(index),
            Expr::Extent(dim) => Lanes::Uniform(self.extent(*dim)),
            Expr::Local(local) => {
                self.locals[local.0 as usize].clone().expect("the verifier rejects a local before its definition")
            }
            Expr::Load(load) => self.load(load),
            Expr::Unary(op, x) => {
                let (dtype, x) = (self.dtype(x), self.value(x));
                self.unary(*op, dtype, &x)
            }
            Expr::Binary(op, x, y) => {
                let (dtype, left) = (self.dtype(x), self.value(x));
                if let (Binary::Pow, Expr::Number(exponent, _)) = (op, &**y)
                    && exponent.value() == 2.0
                {
                    return self.binary(Binary::Mul, dtype, &left, &left);
                }
                let right = self.value(y);
                self.binary(*op, dtype, &left, &right)
            }
            Expr::Compare(op, x, y) => {
                let (dtype, x, y) = (self.dtype(x), self.value(x), self.value(y));
                self.compare(*op, dtype, &x, &y)
            }
            Expr::Select(condition, x, y) => {
                let (dtype, condition) = (self.dtype(x), self.value(condition));
                let (x, y) = (self.value(x), self.value(y));
                self.select(dtype, &condition, &x, &y)
            }
            Expr::Cast(to, x) => {
                let (from, x) = (self.dtype(x), self.value(x));
                self.cast(from, *to, &x)
            }
            Expr::Check(x, bound, site) => self.check(x, *bound, site),
            Expr::Random { bits, seed, stream, position } => self.random(*bits, seed, stream, position),
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
            Unary::Sqrt | Unary::Floor | Unary::Ceil | Unary::Trunc | Unary::Round => dtype.is_float(),
            Unary::Exp | Unary::Log | Unary::Tanh | Unary::Erf | Unary::Atan => ops::held(dtype) == DType::F32,
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
            Binary::Rem | Binary::Pow | Binary::And | Binary::Or => false,
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

    pub(crate) fn cast(&mut self, from: DType, to: DType, x: &Lanes) -> Lanes {
        if from == to {
            return x.clone();
        }
        match (x, ops::held(from), ops::held(to)) {
            (Lanes::Packed(_), DType::I32 | DType::F32, DType::F32) | (Lanes::Packed(_), DType::F32, DType::I32) => {
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

    /// An index that must lie in `0..bound`; elsewhere the fault is reported and 0 is used.
    fn check(&mut self, expr: &Expr, bound: Dim, site: &str) -> Lanes {
        let value = self.value(expr);
        if let Lanes::Uniform(value) = value {
            return Lanes::Uniform(self.check_lane(expr, value, bound, site, 0));
        }
        let values = self.split(&value, DType::I64).into_iter().enumerate();
        Lanes::Split(values.map(|(lane, value)| self.check_lane(expr, value, bound, site, lane)).collect())
    }

    fn check_lane(&mut self, expr: &Expr, value: Value, bound: Dim, site: &str, lane: usize) -> Value {
        let extent = self.extent(bound);
        let (failed, after) = (self.b.create_block(), self.b.create_block());
        let result = self.b.append_block_param(after, types::I64);
        self.b.set_cold_block(failed);
        let outside = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, value, extent);
        self.b.ins().brif(outside, failed, &[], after, &[value.into()]);
        self.b.switch_to_block(failed);
        self.b.seal_block(failed);
        // The message has the index as it was given.
        let (check, given) = match expr.unwrapped(bound) {
            Some(given) => {
                let value = self.eval(given);
                (FAULT_WRAPPED_INDEX, self.lane(&value, DType::I64, lane))
            }
            None => (FAULT_INDEX, value),
        };
        let position = match self.kernel.checked_load(expr) {
            Some(load) => self.element_position(&load, lane),
            None => self.int(0),
        };
        let cell = self.context(types::I64, KernelContext::OFFSET_FAULT);
        let code = self.int(fault_code(check, self.site_number(site)) as i64);
        self.call(KernelContext::OFFSET_REPORT_FAULT, &[cell, code, position, given, extent], None);
        let zero = self.int(0);
        self.b.ins().jump(after, &[zero.into()]);
        self.b.seal_block(after);
        self.b.switch_to_block(after);
        result
    }

    fn site_number(&self, site: &str) -> usize {
        checks::sites(self.kernel).iter().position(|held| held == site).expect("the sites are those of the kernel")
    }
}
