//! What users are told: one error type with a code, a place and a way out.

use std::fmt;

use crate::Place;

/// A mistake in a user's program. All of a trace's diagnostics are reported together.
#[derive(Clone, PartialEq, Debug)]
pub struct Diagnostic {
    /// Which rule is broken.
    pub code: Code,
    /// Lower case, the requirement and then both values.
    pub message: String,
    /// The line at fault.
    pub place: Place,
    /// What to do about it.
    pub help: Option<Box<str>>,
}

impl Diagnostic {
    /// A diagnostic without a place yet.
    pub fn new(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic { code, message: message.into(), place: Place::NONE, help: None }
    }

    /// With a place.
    pub fn at(mut self, place: Place) -> Diagnostic {
        self.place = place;
        self
    }

    /// With a way out.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into().into_boxed_str());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)?;
        if !self.place.is_none() {
            write!(f, "\n  --> {}", self.place)?;
        }
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The rules, one code each; the ranges are K01xx tracing, K02xx verification, K03xx IR text, K04xx compiling.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// The code as printed.
            pub const fn text(self) -> &'static str {
                match self { $(Code::$variant => $text,)* }
            }
        }
    };
}

codes! {
    /// Shapes that do not fit together.
    ShapeMismatch = "K0101",
    /// An operand has the wrong number of axes.
    RankMismatch = "K0102",
    /// Dtypes that do not fit together or that the op does not take.
    DTypeMismatch = "K0103",
    /// An axis number outside the operand's rank.
    AxisOutOfRange = "K0104",
    /// An argument that is not a tensor has a value the op does not take.
    BadArgument = "K0105",
    /// A tensor of another trace.
    ForeignTensor = "K0106",
    /// Two values that must have different names share one.
    DuplicateName = "K0107",
    /// A loss that is not one floating value, or a gradient that is asked of a value without one.
    NotDifferentiable = "K0108",
    /// The batch axis is somewhere other than in front.
    BatchAxis = "K0109",
    /// Something the model names does not exist.
    UnknownName = "K0110",
    /// A node's type is not what its op infers.
    WrongType = "K0201",
    /// A value is used before it is defined, or the graph has a cycle.
    BadOrder = "K0202",
    /// A graph's outputs or updates are not well formed.
    BadOutput = "K0203",
    /// An index can leave its tensor.
    IndexOutOfBounds = "K0204",
    /// A kernel's statements are not well formed.
    BadKernel = "K0205",
    /// A schedule does not fit its kernel.
    BadSchedule = "K0206",
    /// A program's buffers or steps are not well formed.
    BadProgram = "K0207",
    /// IR text that does not parse.
    Syntax = "K0301",
    /// IR text that names an unknown op, attribute or value.
    UnknownItem = "K0302",
    /// A kernel that the back end cannot write.
    Unsupported = "K0401",
    /// A compiled program could not be written, linked or loaded.
    Emission = "K0402",
    /// A program that needs more memory than it was promised to.
    PeakMemory = "K0403",
    /// A tuning lock file without an entry that is needed, or with one that cannot be used.
    Tuning = "K0404",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
