//! Parameters and buffers: the state of a model before there are numbers in it.
//!
//! Both are cheap handles. Cloning one shares it, so a weight that stands in two fields is one weight: it is
//! initialised once, its cotangents add up, and it is updated once. What differs is who changes it: the optimiser
//! changes a parameter, `forward` itself changes a buffer (the running statistics of a BatchNorm).

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;

use kiln_ir::{DType, Init};

/// A trained tensor of a model, in f32.
#[derive(Debug, Clone)]
pub struct Parameter(Rc<ParameterState>);

/// A tensor that belongs to a model but is not trained.
#[derive(Debug, Clone)]
pub struct Buffer(Rc<BufferState>);

#[derive(Debug)]
struct ParameterState {
    shape: Vec<usize>,
    /// How it starts, or why it cannot start so.
    initializer: RefCell<Result<Init, Fault>>,
    trainable: Cell<bool>,
    place: &'static Location<'static>,
}

/// A mistake in an initialiser, and where it was made.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) place: &'static Location<'static>,
}

#[derive(Debug)]
struct BufferState {
    shape: Vec<usize>,
    dtype: DType,
    initial: f64,
    persistent: Cell<bool>,
}

impl Parameter {
    /// A trainable parameter. Unsuitable initializers are reported by the trace, at the place of this call.
    #[track_caller]
    pub fn new(shape: impl Into<Vec<usize>>, initializer: Init) -> Parameter {
        Parameter(Rc::new(ParameterState {
            shape: shape.into(),
            initializer: RefCell::new(Ok(initializer)),
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

    /// How it gets its first values; zeros after a mistake, which the trace reports.
    pub fn initializer(&self) -> Init {
        self.0.initializer.borrow().clone().unwrap_or_default()
    }

    /// Gives it other first values, for everyone who shares it; see [`init`](crate::init). Takes effect at the next trace.
    pub fn set_initializer(&self, initializer: Init) {
        *self.0.initializer.borrow_mut() = Ok(initializer);
    }

    /// As [`set_initializer`](Self::set_initializer), where there may have been a mistake at the caller's line.
    #[track_caller]
    pub(crate) fn try_initializer(&self, initializer: Result<Init, String>) {
        let place = Location::caller();
        *self.0.initializer.borrow_mut() = initializer.map_err(|message| Fault { message, place });
    }

    /// Why its initializer does not suit it.
    pub(crate) fn initializer_fault(&self) -> Result<(), Fault> {
        let initializer = self.0.initializer.borrow();
        let initializer = initializer.as_ref().map_err(Fault::clone)?;
        self.suits(initializer).map_err(|message| Fault { message, place: self.place() })
    }

    fn suits(&self, initializer: &Init) -> Result<(), String> {
        let bounds = |low: f64, high: f64| match low <= high {
            true => Ok(()),
            false => Err(format!("the bounds need `low` <= `high`: `low` is {low}, `high` is {high}")),
        };
        let deviation = |std: f64| match std.is_finite() && std >= 0.0 {
            true => Ok(()),
            false => Err(format!("the standard deviation needs to be finite and not negative: it is {std}")),
        };
        match *initializer {
            Init::Zeros | Init::Constant(_) => Ok(()),
            Init::Uniform { low, high } => bounds(low, high),
            Init::Normal { std, .. } => deviation(std),
            Init::TruncatedNormal { std, low, high, .. } => deviation(std).and_then(|()| bounds(low, high)),
            Init::Orthogonal { .. } if self.shape().len() < 2 => {
                Err("Only tensors with 2 or more dimensions are supported".to_owned())
            }
            Init::Sparse { .. } if self.shape().len() != 2 => {
                Err("Only tensors with 2 dimensions are supported".to_owned())
            }
            Init::Orthogonal { .. } => Ok(()),
            Init::Sparse { sparsity, .. } if !(0.0..=1.0).contains(&sparsity) => {
                Err(format!("the share of zeros needs to be in [0, 1]: it is {sparsity}"))
            }
            Init::Sparse { std, .. } => deviation(std),
            Init::Padded { row, .. } if self.shape().first().is_none_or(|&rows| row >= rows) => {
                Err(format!("the row of zeros needs to be one of shape {:?}: it is {row}", self.shape()))
            }
            Init::Padded { std, .. } => deviation(std),
            Init::Seed => Err("the seed is the start of the model's own random numbers, not of a weight".to_owned()),
            Init::Data(ref values) if values.len() == self.element_count() => Ok(()),
            Init::Data(ref values) => {
                let (shape, needed) = (self.shape(), self.element_count());
                Err(format!("shape {shape:?} needs {needed} values, the initializer has {}", values.len()))
            }
        }
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
        let weight = Parameter::new([2, 3], Init::Zeros);
        let tied = weight.clone();
        assert!(Parameter::same(&weight, &tied) && weight.address() == tied.address());
        assert!(!Parameter::same(&weight, &Parameter::new([2, 3], Init::Zeros)));
        tied.set_requires_grad(false);
        assert!(!weight.is_trainable());
        assert_eq!(weight.element_count(), 6);
        assert_eq!(weight.place().line(), line!() - 7);
    }

    #[test]
    fn unsuitable_initializers_say_what_they_need() {
        let message = |initializer: Init, shape: &[usize]| {
            Parameter::new(shape, initializer).initializer_fault().unwrap_err().message
        };
        assert_eq!(message(Init::Data(vec![0.0; 5]), &[2, 3]), "shape [2, 3] needs 6 values, the initializer has 5");
        assert_eq!(
            message(Init::Uniform { low: 1.0, high: -1.0 }, &[]),
            "the bounds need `low` <= `high`: `low` is 1, `high` is -1"
        );
        assert!(Parameter::new([], Init::Uniform { low: f64::NAN, high: 1.0 }).initializer_fault().is_err());
        assert!(Parameter::new([], Init::Normal { mean: 0.0, std: -1.0 }).initializer_fault().is_err());
        assert!(
            Parameter::new([], Init::TruncatedNormal { mean: 0.0, std: 1.0, low: 2.0, high: -2.0 })
                .initializer_fault()
                .is_err()
        );
        assert!(Parameter::new([], Init::Data(vec![1.0])).initializer_fault().is_ok());
    }

    #[test]
    fn buffers_are_persistent_f32_unless_asked_otherwise() {
        let mean = Buffer::new([4], 1.5);
        assert_eq!((mean.dtype(), mean.is_persistent(), mean.initial()), (DType::F32, true, 1.5));
        let count = Buffer::with_dtype([], DType::I64, 0.0).persistent(false);
        assert_eq!((count.dtype(), count.is_persistent(), count.element_count()), (DType::I64, false, 1));
    }
}
