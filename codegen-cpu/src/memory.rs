//! Loads and stores of elements, in one lane or in all.

use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use kiln_ir::{DType, Index, Load, TensorId};

use crate::emit::Emitter;
use crate::guard::Access;
use crate::index::{Address, Step};
use crate::lanes::Lanes;
use crate::math::half;
use crate::ops;

impl Emitter<'_> {
    /// An element, or the elements of all lanes.
    pub(crate) fn load(&mut self, load: &Load) -> Lanes {
        let dtype = self.kernel.tensor(load.tensor).ty.dtype;
        let empty = self.kernel.tensor(load.tensor).ty.shape.is_empty();
        if let (Some(fill), true) = (load.fill, empty || self.is_refuted(load)) {
            return Lanes::Uniform(self.constant(dtype, fill.value()));
        }
        let access = self.access(load);
        if !self.is_uniform(&access) {
            return Lanes::Split((0..self.lanes).map(|lane| self.load_lane(load, &access, lane)).collect());
        }
        match (self.step(&access.free), self.packable(dtype)) {
            (Step::Constant(0), _) => Lanes::Uniform(self.load_lane(load, &access, 0)),
            (Step::Constant(step), Some(ty))
                if step == 1 || matches!(step, 2 | -1) && dtype.size_bytes() == 4 && !self.is_wide() =>
            {
                let (address, condition) = self.guarded_address(load.tensor, &access, 0);
                let distance = i64::from(ty.lane_count()) * dtype.size_bytes() as i64 * step * self.spread() as i64;
                let registers = (0..self.lanes as i64 / i64::from(ty.lane_count()))
                    .map(|register| {
                        let address = self.moved(address, register * distance);
                        self.load_register(load.tensor, ty, address, step)
                    })
                    .collect();
                let loaded = Lanes::Packed(registers);
                match (condition, load.fill) {
                    (Some(condition), Some(fill)) => {
                        let fill = self.constant(dtype, fill.value());
                        self.select(dtype, &Lanes::Uniform(condition), &loaded, &Lanes::Uniform(fill))
                    }
                    _ => loaded,
                }
            }
            (Step::Constant(step), _) => {
                // One address for all lanes, and a constant distance between them.
                let (address, condition) = self.guarded_address(load.tensor, &access, 0);
                let distance = step * dtype.size_bytes() as i64;
                let values = (0..self.lanes as i64)
                    .map(|lane| {
                        let address = self.moved(address, lane * distance);
                        self.load_from(load, address, condition)
                    })
                    .collect();
                Lanes::Split(values)
            }
            (Step::Irregular, _) => {
                Lanes::Split((0..self.lanes).map(|lane| self.load_lane(load, &access, lane)).collect())
            }
        }
    }

    /// Stores one value in each lane's element.
    pub(crate) fn store(&mut self, tensor: TensorId, index: &[Index], value: &Lanes) {
        let dtype = self.kernel.tensor(tensor).ty.dtype;
        let flags = self.memory_flags(tensor);
        let index: Vec<Index> = index.iter().map(|index| self.resolve(index)).collect();
        let linear = self.linear(tensor, &index);
        match (self.step(&linear), self.packable(dtype)) {
            (Step::Constant(1), Some(ty)) => {
                let registers = self.packed(value, ty);
                let address = self.address(tensor, &linear, 0, None);
                let distance = ty.lane_count() as usize * dtype.size_bytes() * self.spread();
                for (register, at) in registers.into_iter().zip((0..).step_by(distance)) {
                    let elements = if dtype.is_half() { self.half_register(dtype, register) } else { register };
                    self.b.ins().store(flags, elements, address.base, address.offset + at);
                }
            }
            (Step::Constant(step), _) => {
                let values = self.split(value, dtype);
                let address = self.address(tensor, &linear, 0, None);
                for (value, lane) in values.into_iter().zip(0..) {
                    let address = self.moved(address, lane * step * dtype.size_bytes() as i64);
                    self.store_at(tensor, value, address);
                }
            }
            (Step::Irregular, _) => {
                let values = self.split(value, dtype);
                for (lane, value) in values.into_iter().enumerate() {
                    let address = self.address(tensor, &linear, lane, None);
                    self.store_at(tensor, value, address);
                }
            }
        }
    }

    fn store_at(&mut self, tensor: TensorId, value: Value, address: Address) {
        let dtype = self.kernel.tensor(tensor).ty.dtype;
        let flags = self.memory_flags(tensor);
        let Address { base, offset } = address;
        if dtype.is_half() {
            let bits = half::encode(&mut self.b, dtype, value);
            self.b.ins().istore16(flags, bits, base, offset);
        } else {
            self.b.ins().store(flags, value, base, offset);
        }
    }

    /// Four halves, in 64 bits.
    fn half_register(&mut self, dtype: DType, register: Value) -> Value {
        let bits = half::encode(&mut self.b, dtype, register);
        let narrow = self.b.ins().unarrow(bits, bits);
        let narrow = ops::bitcast(&mut self.b, types::I64X2, narrow);
        self.b.ins().extractlane(narrow, 0)
    }

    /// The elements of one register, `step` apart: 1 with 16 to 64 bits each, 2 or -1 with 32 bits. Between the first and the last
    /// element nothing else is read, so no tensor is left.
    fn load_register(&mut self, tensor: TensorId, ty: Type, address: Address, step: i64) -> Value {
        let flags = self.memory_flags(tensor);
        let dtype = self.kernel.tensor(tensor).ty.dtype;
        let Address { base, offset } = address;
        if dtype.is_half() {
            let bits = self.b.ins().uload16x4(flags, base, offset);
            return half::decode(&mut self.b, dtype, bits);
        }
        let (low, high, order) = match step {
            // Elements 0, 2 of the first register and 4, 6 of the second, which begins at 3.
            2 => {
                let low = self.b.ins().load(ty, flags, base, offset);
                let high = self.b.ins().load(ty, flags, base, offset + 12);
                (low, high, [0, 2, 5, 7])
            }
            -1 => {
                let reversed = self.b.ins().load(ty, flags, base, offset - 12);
                (reversed, reversed, [3, 2, 1, 0])
            }
            _ => return self.b.ins().load(ty, flags, base, offset),
        };
        let bytes: Vec<u8> = order.iter().flat_map(|lane| (0..4).map(move |byte| 4 * lane + byte)).collect();
        let order = self.b.func.dfg.immediates.push(bytes.into());
        let low = ops::bitcast(&mut self.b, types::I8X16, low);
        let high = ops::bitcast(&mut self.b, types::I8X16, high);
        let picked = self.b.ins().shuffle(low, high, order);
        ops::bitcast(&mut self.b, ty, picked)
    }

    fn load_lane(&mut self, load: &Load, access: &Access, lane: usize) -> Value {
        let (address, condition) = self.guarded_address(load.tensor, access, lane);
        self.load_from(load, address, condition)
    }

    fn load_from(&mut self, load: &Load, address: Address, condition: Option<Value>) -> Value {
        let dtype = self.kernel.tensor(load.tensor).ty.dtype;
        let flags = self.memory_flags(load.tensor);
        let value = if dtype.is_half() {
            let bits = self.b.ins().uload16(types::I32, flags, address.base, address.offset);
            half::decode(&mut self.b, dtype, bits)
        } else {
            self.b.ins().load(ops::scalar_type(dtype), flags, address.base, address.offset)
        };
        match (condition, load.fill) {
            (Some(condition), Some(fill)) => {
                let fill = self.constant(dtype, fill.value());
                self.b.ins().select(condition, value, fill)
            }
            _ => value,
        }
    }

    /// An address inside the tensor, and the condition under which it is the load's own.
    fn guarded_address(&mut self, tensor: TensorId, access: &Access, lane: usize) -> (Address, Option<Value>) {
        let condition = self.condition(access, lane);
        let extra = condition.filter(|_| access.checked != Index::default()).map(|condition| {
            let size = self.kernel.tensor(tensor).ty.dtype.size_bytes() as i64;
            let position = self.index_value(&access.checked.times(size), lane);
            let zero = self.b.ins().iconst(types::I64, 0);
            self.b.ins().select(condition, position, zero)
        });
        (self.address(tensor, &access.free, lane, extra), condition)
    }

    fn moved(&mut self, address: Address, distance: i64) -> Address {
        match i32::try_from(i64::from(address.offset) + distance) {
            Ok(offset) => Address { base: address.base, offset },
            Err(_) => Address { base: self.b.ins().iadd_imm_s(address.base, distance), offset: address.offset },
        }
    }

    /// The position of an element of a lane, for messages.
    pub(crate) fn element_position(&mut self, load: &Load, lane: usize) -> Value {
        let linear = self.linear(load.tensor, &load.index);
        self.index_value(&linear, lane)
    }

    /// Zero in every lane, for results that no iteration reaches.
    pub(crate) fn zero(&mut self, dtype: DType) -> Lanes {
        Lanes::Uniform(self.constant(dtype, 0.0))
    }
}
