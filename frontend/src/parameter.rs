//! Parameters and buffers: the state of a model before there are numbers in it.
//!
//! Both are cheap handles. Cloning one shares it, so a weight that stands in two fields is one weight: it is
//! initialised once, its cotangents add up, and it is updated once. What differs is who changes it: the optimiser
//! changes a parameter, `forward` itself changes a buffer (the running statistics of a BatchNorm).

use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;

use crate::DType;

/// How a parameter gets its first values. Random ones depend on the seed of the run and the parameter's name only.
#[derive(Debug, Clone, PartialEq)]
pub enum Initializer {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All the same value.
    Constant(f64),
    /// Uniform on `[low, high)`.
    Uniform {
        /// Smallest value.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Normal, conditioned on lying in `[low, high]`.
    TruncatedNormal {
        /// Mean before truncation.
        mean: f64,
        /// Standard deviation before truncation.
        std: f64,
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
    },
    /// These values, in row-major order.
    Data(Vec<f64>),
}

/// Why an initializer does not suit its parameter.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InitializerError {
    /// `Data` of another size than the shape.
    #[error("shape {shape:?} needs {needed} values, the initializer has {found}")]
    DataLength {
        /// The parameter's shape.
        shape: Vec<usize>,
        /// Its number of elements.
        needed: usize,
        /// The number of values given.
        found: usize,
    },
    /// Bounds in the wrong order, or not numbers.
    #[error("the bounds need `low` <= `high`: `low` is {low}, `high` is {high}")]
    Bounds {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// A standard deviation that is negative, infinite or not a number.
    #[error("the standard deviation needs to be finite and not negative: it is {std}")]
    Deviation {
        /// The value given.
        std: f64,
    },
}

/// A trained tensor of a model, in f32.
#[derive(Debug, Clone)]
pub struct Parameter(Rc<ParameterState>);

/// A tensor that belongs to a model but is not trained.
#[derive(Debug, Clone)]
pub struct Buffer(Rc<BufferState>);

#[derive(Debug)]
struct ParameterState {
    shape: Vec<usize>,
    initializer: Initializer,
    trainable: Cell<bool>,
    place: &'static Location<'static>,
}

#[derive(Debug)]
struct BufferState {
    shape: Vec<usize>,
    dtype: DType,
    initial: f64,
    persistent: Cell<bool>,
}

impl Initializer {
    /// Whether a parameter of `shape` can be initialised so.
    pub fn check(&self, shape: &[usize]) -> Result<(), InitializerError> {
        let bounds =
            |low: f64, high: f64| if low <= high { Ok(()) } else { Err(InitializerError::Bounds { low, high }) };
        let deviation =
            |std: f64| if std.is_finite() && std >= 0.0 { Ok(()) } else { Err(InitializerError::Deviation { std }) };
        match *self {
            Initializer::Zeros | Initializer::Ones | Initializer::Constant(_) => Ok(()),
            Initializer::Uniform { low, high } => bounds(low, high),
            Initializer::Normal { std, .. } => deviation(std),
            Initializer::TruncatedNormal { std, low, high, .. } => deviation(std).and_then(|()| bounds(low, high)),
            Initializer::Data(ref values) => {
                let needed = shape.iter().product::<usize>();
                if values.len() == needed {
                    return Ok(());
                }
                Err(InitializerError::DataLength { shape: shape.to_vec(), needed, found: values.len() })
            }
        }
    }
}

impl Parameter {
    /// A trainable parameter. Unsuitable initializers are reported by the trace, at the place of this call.
    #[track_caller]
    pub fn new(shape: impl Into<Vec<usize>>, initializer: Initializer) -> Parameter {
        Parameter(Rc::new(ParameterState {
            shape: shape.into(),
            initializer,
            trainable: Cell::new(true),
            place: Location::caller(),
        }))
    }

    /// Freezes (`false`) or thaws this parameter, for everyone who shares it.
    #[must_use = "returns the same parameter, for chaining; see `set_requires_grad`"]
    pub fn requires_grad(self, trainable: bool) -> Parameter {
        self.set_requires_grad(trainable);
        self
    }

    /// Freezes (`false`) or thaws this parameter, for everyone who shares it. Takes effect at the next trace.
    pub fn set_requires_grad(&self, trainable: bool) {
        self.0.trainable.set(trainable);
    }

    /// Whether the optimiser updates it.
    pub fn is_trainable(&self) -> bool {
        self.0.trainable.get()
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// Its dtype: f32. Lower precisions are casts of this master copy.
    pub fn dtype(&self) -> DType {
        DType::F32
    }

    /// How it gets its first values.
    pub fn initializer(&self) -> &Initializer {
        &self.0.initializer
    }

    /// The number of elements.
    pub fn element_count(&self) -> usize {
        self.0.shape.iter().product()
    }

    /// Where it was made.
    pub fn place(&self) -> &'static Location<'static> {
        self.0.place
    }

    /// Whether both are handles of one parameter.
    pub fn same(a: &Parameter, b: &Parameter) -> bool {
        Rc::ptr_eq(&a.0, &b.0)
    }

    /// A key that is equal for handles of one parameter, for as long as one of them lives. Not stable between runs:
    /// look things up by it, never order output by it.
    pub fn address(&self) -> usize {
        Rc::as_ptr(&self.0).addr()
    }
}

impl Buffer {
    /// A persistent f32 buffer that starts with `initial` everywhere.
    pub fn new(shape: impl Into<Vec<usize>>, initial: f64) -> Buffer {
        Buffer::with_dtype(shape, DType::F32, initial)
    }

    /// A persistent buffer of another dtype; a counter is `Buffer::with_dtype([], DType::I64, 0.0)`.
    pub fn with_dtype(shape: impl Into<Vec<usize>>, dtype: DType, initial: f64) -> Buffer {
        Buffer(Rc::new(BufferState { shape: shape.into(), dtype, initial, persistent: Cell::new(true) }))
    }

    /// Whether `state_dict`, and so a checkpoint, includes it.
    #[must_use = "returns the same buffer, for chaining"]
    pub fn persistent(self, persistent: bool) -> Buffer {
        self.0.persistent.set(persistent);
        self
    }

    /// Whether `state_dict` includes it.
    pub fn is_persistent(&self) -> bool {
        self.0.persistent.get()
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// Its dtype.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// The value of every element at the start.
    pub fn initial(&self) -> f64 {
        self.0.initial
    }

    /// The number of elements.
    pub fn element_count(&self) -> usize {
        self.0.shape.iter().product()
    }

    /// Whether both are handles of one buffer.
    pub fn same(a: &Buffer, b: &Buffer) -> bool {
        Rc::ptr_eq(&a.0, &b.0)
    }

    /// A key that is equal for handles of one buffer; see [`Parameter::address`].
    pub fn address(&self) -> usize {
        Rc::as_ptr(&self.0).addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_the_same_parameter() {
        let weight = Parameter::new([2, 3], Initializer::Zeros);
        let tied = weight.clone();
        assert!(Parameter::same(&weight, &tied) && weight.address() == tied.address());
        assert!(!Parameter::same(&weight, &Parameter::new([2, 3], Initializer::Zeros)));
        tied.set_requires_grad(false);
        assert!(!weight.is_trainable());
        assert_eq!(weight.element_count(), 6);
        assert_eq!(weight.place().line(), line!() - 7);
    }

    #[test]
    fn unsuitable_initializers_say_what_they_need() {
        let message = |initializer: Initializer, shape: &[usize]| initializer.check(shape).unwrap_err().to_string();
        assert_eq!(
            message(Initializer::Data(vec![0.0; 5]), &[2, 3]),
            "shape [2, 3] needs 6 values, the initializer has 5"
        );
        assert_eq!(
            message(Initializer::Uniform { low: 1.0, high: -1.0 }, &[]),
            "the bounds need `low` <= `high`: `low` is 1, `high` is -1"
        );
        assert!(Initializer::Uniform { low: f64::NAN, high: 1.0 }.check(&[]).is_err());
        assert!(Initializer::Normal { mean: 0.0, std: -1.0 }.check(&[]).is_err());
        assert!(Initializer::TruncatedNormal { mean: 0.0, std: 1.0, low: 2.0, high: -2.0 }.check(&[]).is_err());
        assert_eq!(Initializer::Data(vec![1.0]).check(&[]), Ok(()));
    }

    #[test]
    fn buffers_are_persistent_f32_unless_asked_otherwise() {
        let mean = Buffer::new([4], 1.5);
        assert_eq!((mean.dtype(), mean.is_persistent(), mean.initial()), (DType::F32, true, 1.5));
        let count = Buffer::with_dtype([], DType::I64, 0.0).persistent(false);
        assert_eq!((count.dtype(), count.is_persistent(), count.element_count()), (DType::I64, false, 1));
    }
}
