//! A value in the lanes of a vector loop, in the cheapest form that holds it.
//!
//! `Uniform` is one scalar for all lanes (outside vector loops there is nothing else). `Packed` is as many 128-bit registers as the
//! lanes fill: 16 lanes of `f32` are four registers, which is how loops are unrolled. `Split` is one scalar a lane, for what has
//! no vector form: bytes, gathers, divisions of integers. Each operation takes the best form its operands allow, so any
//! expression runs in any vector loop.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use kiln_ir::DType;

use crate::emit::Emitter;
use crate::ops;

/// A value in lanes.
#[derive(Clone, Debug)]
pub(crate) enum Lanes {
    /// The same scalar in every lane.
    Uniform(Value),
    /// 128-bit registers. Of `bool`: masks, whose lane width is that of what was compared.
    Packed(Vec<Value>),
    /// One scalar a lane.
    Split(Vec<Value>),
}

impl Emitter<'_> {
    /// The vector type in which values of this dtype can be packed now.
    pub(crate) fn packable(&self, dtype: DType) -> Option<Type> {
        let ty = ops::vector_type(dtype)?;
        (self.lanes > 1 && self.lanes.is_multiple_of(ty.lane_count() as usize)).then_some(ty)
    }

    /// Registers of a numeric value; `ty` comes from [`Emitter::packable`].
    pub(crate) fn packed(&mut self, x: &Lanes, ty: Type) -> Vec<Value> {
        let width = ty.lane_count() as usize;
        match x {
            Lanes::Packed(registers) => registers.clone(),
            Lanes::Uniform(value) => {
                let value = ops::splat(&mut self.b, ty, *value);
                vec![value; self.lanes / width]
            }
            Lanes::Split(values) => values.chunks(width).map(|lanes| self.gathered(lanes, ty)).collect(),
        }
    }

    /// One scalar a lane.
    pub(crate) fn split(&mut self, x: &Lanes, dtype: DType) -> Vec<Value> {
        self.only_four_lanes();
        match x {
            Lanes::Uniform(value) => vec![*value; self.lanes],
            Lanes::Split(values) => values.clone(),
            Lanes::Packed(registers) => {
                let mut values = Vec::with_capacity(self.lanes);
                for &register in registers {
                    for lane in 0..self.b.func.dfg.value_type(register).lane_count() {
                        let value = self.b.ins().extractlane(register, lane as u8);
                        values.push(if dtype == DType::Bool {
                            self.b.ins().icmp_imm_s(IntCC::NotEqual, value, 0)
                        } else {
                            value
                        });
                    }
                }
                values
            }
        }
    }

    /// The scalar of one lane.
    pub(crate) fn lane(&mut self, x: &Lanes, dtype: DType, lane: usize) -> Value {
        match x {
            Lanes::Uniform(value) => *value,
            Lanes::Split(values) => values[lane],
            Lanes::Packed(_) => self.split(x, dtype)[lane],
        }
    }

    /// A truth value as masks of integer vectors of type `ty`.
    pub(crate) fn masks(&mut self, x: &Lanes, ty: Type) -> Vec<Value> {
        let width = ty.lane_count() as usize;
        match x {
            Lanes::Uniform(value) => {
                let mask = self.b.ins().bmask(ty.lane_type(), *value);
                let mask = self.b.ins().splat(ty, mask);
                vec![mask; self.lanes / width]
            }
            Lanes::Split(values) => values
                .chunks(width)
                .map(|lanes| {
                    let lanes: Vec<Value> =
                        lanes.iter().map(|&lane| self.b.ins().bmask(ty.lane_type(), lane)).collect();
                    self.gathered(&lanes, ty)
                })
                .collect(),
            Lanes::Packed(registers) => {
                let held = self.b.func.dfg.value_type(registers[0]);
                match (held.lane_bits(), ty.lane_bits()) {
                    (32, 64) => registers.iter().flat_map(|&mask| self.widened_mask(mask)).collect(),
                    (64, 32) => registers.chunks(2).map(|masks| self.narrowed_mask(masks[0], masks[1])).collect(),
                    _ => registers.clone(),
                }
            }
        }
    }

    /// The lane width of the masks in which a truth value is held, if it is.
    pub(crate) fn mask_type(&self, x: &Lanes) -> Option<Type> {
        match x {
            Lanes::Packed(registers) => Some(self.b.func.dfg.value_type(registers[0])),
            _ => None,
        }
    }

    /// A register made of scalars.
    fn gathered(&mut self, lanes: &[Value], ty: Type) -> Value {
        let first = self.b.ins().scalar_to_vector(ty, lanes[0]);
        (1..lanes.len()).fold(first, |register, lane| self.b.ins().insertlane(register, lanes[lane], lane as u8))
    }

    fn widened_mask(&mut self, mask: Value) -> [Value; 2] {
        [self.b.ins().swiden_low(mask), self.b.ins().swiden_high(mask)]
    }

    /// The low halves of four 64-bit masks.
    fn narrowed_mask(&mut self, low: Value, high: Value) -> Value {
        let bytes = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];
        let order = self.b.func.dfg.immediates.push(bytes.as_slice().into());
        let low = ops::bitcast(&mut self.b, types::I8X16, low);
        let high = ops::bitcast(&mut self.b, types::I8X16, high);
        let picked = self.b.ins().shuffle(low, high, order);
        ops::bitcast(&mut self.b, types::I32X4, picked)
    }
}
