//! C names for the user's names: kept where C allows it, escaped where it does not, never two alike.

use std::collections::BTreeSet;

use kiln_ir::{AxisId, Kernel, LocalId, TensorId};

/// Words that mean something in C++, CUDA or the prelude. Functions are here because a variable or a kernel of that name would hide
/// them.
const RESERVED: &[&str] = &[
    // C++'s own words.
    "alignas alignof and asm auto bool break case catch char class const constexpr continue decltype",
    "default delete do double else enum explicit export extern false float for friend goto if inline int",
    "long main mutable namespace new noexcept not nullptr operator or private protected public register",
    "requires restrict return short signed sizeof static struct switch template this throw true try",
    "typedef typeid typename union unsigned using virtual void volatile wchar_t while xor concept compl",
    "bitand bitor static_assert thread_local",
    // CUDA's and the prelude's names.
    "threadIdx blockIdx blockDim gridDim warpSize half dim3 u8 i64 u64 B INFINITY NAN KILN_DEVICE",
    "atomicCAS atomicAdd atomicMax atomicMin",
    // Functions that CUDA declares for float and double.
    "abs acos acosh asin asinh atan atan2 atanh cbrt ceil clock copysign cos cosf cosh erf erfc erff",
    "erfinv exp exp10 exp2 expf expm1 fabs fabsf fdim floor floorf fma fmax fmin fmod free frexp hypot",
    "isfinite isinf isnan j0 j1 jn ldexp lgamma log log10 log1p log2 logb logf lrint lround malloc max",
    "memcpy memset min modf norm nan pow powf printf remainder rint round rsqrt sin sincos sinf sinh sqrt",
    "sqrtf tan tanh tanhf tgamma trap trunc y0 y1 yn",
];

/// Hands out C names.
#[derive(Clone, Default)]
pub(crate) struct Names {
    used: BTreeSet<String>,
}

impl Names {
    /// The wanted name, or the nearest one that is legal and free.
    pub(crate) fn fresh(&mut self, wanted: &str) -> String {
        let base = legal(wanted);
        let name = std::iter::once(base.clone())
            .chain((2..).map(|number| format!("{base}_{number}")))
            .find(|name| !self.used.contains(name))
            .expect("the sequence of names has no end");
        self.used.insert(name.clone());
        name
    }
}

/// The names of one kernel's items, by their ids.
pub(crate) struct KernelNames {
    tensors: Vec<String>,
    axes: Vec<String>,
    locals: Vec<String>,
}

impl KernelNames {
    /// Tensors choose first, then axes, then locals.
    pub(crate) fn new(kernel: &Kernel, names: &mut Names) -> KernelNames {
        KernelNames {
            tensors: kernel.tensors.iter().map(|tensor| names.fresh(&tensor.name)).collect(),
            axes: kernel.axes.iter().map(|axis| names.fresh(&axis.name)).collect(),
            locals: kernel.locals.iter().map(|local| names.fresh(&local.name)).collect(),
        }
    }

    pub(crate) fn tensor(&self, id: TensorId) -> &str {
        &self.tensors[id.0 as usize]
    }

    pub(crate) fn axis(&self, id: AxisId) -> &str {
        &self.axes[id.0 as usize]
    }

    pub(crate) fn local(&self, id: LocalId) -> &str {
        &self.locals[id.0 as usize]
    }

    /// `(n, oh, ow)`.
    pub(crate) fn axis_list(&self, axes: &[AxisId]) -> String {
        let axes: Vec<&str> = axes.iter().map(|&axis| self.axis(axis)).collect();
        format!("({})", axes.join(", "))
    }
}

/// Letters, digits and underscores, not beginning as C++ or the prelude reserve it, and no reserved word.
fn legal(wanted: &str) -> String {
    let mut name: String = wanted.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.starts_with("kiln_") {
        name.insert_str(0, "v_");
    }
    if RESERVED.iter().any(|line| line.split(' ').any(|word| word == name)) {
        name.push('_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_survive_and_illegal_ones_are_escaped() {
        let mut names = Names::default();
        assert_eq!(names.fresh("conv1_out"), "conv1_out");
        assert_eq!(names.fresh("layer1.0.weight"), "layer1_0_weight");
        assert_eq!(names.fresh("float"), "float_");
        assert_eq!(names.fresh("B"), "B_");
        assert_eq!(names.fresh("0"), "v_0");
        assert_eq!(names.fresh("_x"), "v__x");
        assert_eq!(names.fresh("kiln_max"), "v_kiln_max");
        assert_eq!(names.fresh("ß"), "v__");
    }

    #[test]
    fn equal_names_are_numbered() {
        let mut names = Names::default();
        assert_eq!(names.fresh("x.y"), "x_y");
        assert_eq!(names.fresh("x_y"), "x_y_2");
        assert_eq!(names.fresh("x_y_2"), "x_y_2_2");
        assert_eq!(names.fresh("exp"), "exp_");
    }
}
