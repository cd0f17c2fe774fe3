//! The whole flow in one place: trace, pipeline, back end.

use std::panic::Location;
use std::sync::Arc;

use kiln_codegen_cpu as cpu;
use kiln_frontend::{Module, Traced, Training};
use kiln_ir::{Bytes, DType, PeakMemory, Place, Program};
use kiln_passes::pipeline::{self, Control, Observer, Stage, Step};
use kiln_passes::select_algorithm::Selection;
use kiln_runtime::{Pool, Session, Trainer};

use crate::Error;
use crate::switches::Switches;
use crate::tuning::Tuning;

/// Compiles trainings.
///
/// ```
/// use kiln::prelude::*;
///
/// let line = Training::new("line", Linear::new(1, 1))
///     .max_batch(4)
///     .input("x", DType::F32, [BATCH, Dim::fixed(1)])
///     .input("y", DType::F32, [BATCH, Dim::fixed(1)])
///     .loss(|model, batch| mse_loss(model.forward(batch["x"]), batch["y"]))
///     .optimizer(Sgd::new(0.1));
/// let mut trainer = kiln::Compiler::new().jit(&line)?;
/// let (x, y) = ([0.0_f32, 1.0, 2.0], [1.0_f32, 3.0, 5.0]);
/// let first = trainer.train_step(&[(&x).into(), (&y).into()])?;
/// let last = (0..100).map(|_| trainer.train_step(&[(&x).into(), (&y).into()])).last().expect("100 steps")?;
/// assert!(last < first / 100.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Compiler {
    cpu: cpu::Options,
    seed: u64,
    selection: Selection,
    tuning: Tuning,
    autocast: Option<DType>,
    peak_memory: Option<PeakMemory>,
}

/// The environment's switch for [`Compiler::detect_anomaly`] in builds ahead of time.
pub(crate) const DETECT_ANOMALY: &str = "KILN_DETECT_ANOMALY";

/// A compiled training, before a back end writes it.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The kernels, their order and their memory.
    pub program: Program,
}

impl Compiler {
    /// For the machine that it runs on.
    pub fn new() -> Compiler {
        Compiler::default()
    }

    /// The seed of the initial weights of [`Compiler::jit`].
    #[must_use]
    pub fn seed(self, seed: u64) -> Compiler {
        Compiler { seed, ..self }
    }

    /// Code for every machine of the last ten years instead of this one.
    #[must_use]
    pub fn portable(self) -> Compiler {
        let cpu = cpu::Options { cpu: cpu::Cpu::Baseline, ..self.cpu };
        Compiler { cpu, ..self }
    }

    /// Which algorithms may compute convolutions. The fastest are not the most exact: Winograd's lose about two bits of a result (4e-6 of its greatest element), which
    /// [`Selection::Exact`] keeps.
    #[must_use]
    pub fn algorithms(self, selection: Selection) -> Compiler {
        Compiler { selection, ..self }
    }

    /// How the algorithms of convolutions are chosen, where [`Compiler::algorithms`] leaves a choice: as `torch.backends.cudnn.benchmark`, but kept in a file.
    #[must_use]
    pub fn tuning(self, tuning: Tuning) -> Compiler {
        Compiler { tuning, ..self }
    }

    /// As `torch.autocast(dtype=torch.bfloat16)` around the forward pass: matrix products and convolutions take operands of a half type and add up in f32; weights stay f32. With
    /// `f16`, whose range is small, use a `GradScaler` as well.
    ///
    /// # Panics
    /// If the dtype is not a half type.
    #[must_use]
    pub fn autocast(self, half: DType) -> Compiler {
        assert!(half.is_half(), "autocast needs bf16 or f16: found {half}");
        Compiler { autocast: Some(half), ..self }
    }

    /// The most memory that a program may use, in bytes: its whole arena, which is all that the runtime allocates for it. What does not fit is computed again in
    /// the backward pass instead of kept, as little as that takes and with the same bits; without a budget nothing is. Of this and what the
    /// model says (`#[model(peak_memory = "512 MiB")]`), the smaller one counts. Programs of [`Compiler::detect_anomaly`] keep everything and have no budget.
    #[must_use]
    #[track_caller]
    pub fn peak_memory(self, bytes: usize) -> Compiler {
        let place = Place::of(Location::caller(), "");
        self.promising(Some(PeakMemory { limit: Bytes(bytes), place }))
    }

    pub(crate) fn promising(self, peak_memory: Option<PeakMemory>) -> Compiler {
        Compiler { peak_memory, ..self }
    }

    /// Finds the first value that is not finite: NaN, or an infinity that arises from finite operands. Every value then has a kernel of its own, whose
    /// result is looked at, and a run ends with the step, the op and the line of the forward call. For debugging: such a program is several times
    /// slower. Nothing of it is in other programs.
    #[must_use]
    pub fn detect_anomaly(self, detect_anomaly: bool) -> Compiler {
        let cpu = cpu::Options { detect_anomaly, ..self.cpu };
        Compiler { cpu, ..self }
    }

    /// The same where the environment has `KILN_DETECT_ANOMALY=1`, so that a program is built anew without a change of its sources.
    pub(crate) fn anomalies_from_environment(self) -> Compiler {
        let asked = std::env::var(DETECT_ANOMALY).is_ok_and(|value| value == "1") || self.detects_anomaly();
        self.detect_anomaly(asked)
    }

    /// Whether it does.
    pub(crate) fn detects_anomaly(&self) -> bool {
        self.cpu.detect_anomaly
    }

    /// Traces a training and takes it through the pipeline.
    ///
    /// # Errors
    /// [`Error::Model`] with every mistake of the model, with a memory budget that cannot be kept, or with what is wrong with a tuning lock file; [`Error::Bug`]; those of the switches `KILN_DUMP`, `KILN_STOP_AFTER` and
    /// `KILN_IR`.
    pub fn compile<M: Module>(&self, training: &Training<M>) -> Result<Compiled, Error> {
        self.compile_traced(training.trace().map_err(Error::Model)?)
    }

    /// Takes a trace through the pipeline.
    ///
    /// # Errors
    /// As [`Compiler::compile`].
    pub fn compile_traced(&self, traced: Traced) -> Result<Compiled, Error> {
        let detect_anomaly = self.detects_anomaly();
        let traced = request(traced);
        let peak_memory = PeakMemory::stricter(self.peak_memory.clone(), traced.peak_memory.clone());
        let selection = self.selection.clone();
        let request = pipeline::Request { detect_anomaly, selection, autocast: self.autocast, peak_memory, ..traced };
        let request = self.tuning.applied(request, self.cpu)?;
        let program = run_pipeline(&request, &mut ())?;
        Ok(Compiled { program: program.expect("only the switches stop it, and they say so") })
    }

    /// Compiles into the running process.
    ///
    /// # Errors
    /// As [`Compiler::compile`], and those of the back end and of the runtime.
    pub fn jit<M: Module>(&self, training: &Training<M>) -> Result<Trainer, Error> {
        self.compile(training)?.jit(self)
    }
}

impl Compiled {
    /// Machine code in memory, and a trainer with fresh weights over it.
    ///
    /// # Errors
    /// Those of the back end and of the runtime.
    pub fn jit(self, compiler: &Compiler) -> Result<Trainer, Error> {
        let code = cpu::jit(Arc::new(self.program), compiler.cpu)?;
        Ok(Trainer::new(code.into_runtime_program(), compiler.seed)?)
    }

    /// The same as a session on the given threads.
    ///
    /// # Errors
    /// As [`Compiled::jit`].
    pub fn session(self, compiler: &Compiler, pool: Pool) -> Result<Session, Error> {
        let code = cpu::jit(Arc::new(self.program), compiler.cpu)?;
        Ok(Session::with_pool(code.into_runtime_program(), compiler.seed, pool)?)
    }

    /// An object file with every kernel.
    ///
    /// # Errors
    /// Those of the back end.
    pub fn object(&self, compiler: &Compiler) -> Result<cpu::Object, Error> {
        Ok(cpu::compile_object(&self.program, compiler.cpu)?)
    }
}

/// The pipeline under the switches of the environment, and under another observer, which sees what each step leaves before they do. `None`
/// where that observer stopped.
pub(crate) fn run_pipeline(request: &pipeline::Request, observer: &mut dyn Observer) -> Result<Option<Program>, Error> {
    let mut both = Both { first: observer, switches: Switches::from_environment()? };
    let program = pipeline::run(request, &mut both)?;
    let stopped_after = both.switches.finish()?;
    match (program, stopped_after) {
        (None, Some(step)) => Err(Error::Stopped(step)),
        (program, _) => Ok(program),
    }
}

struct Both<'a> {
    first: &'a mut dyn Observer,
    switches: Switches,
}

impl Observer for Both<'_> {
    fn after(&mut self, step: Step, unit: &str, stage: Stage<'_>) -> Control {
        match self.first.after(step, unit, stage) {
            Control::Continue => self.switches.after(step, unit, stage),
            other => other,
        }
    }
}

/// The trace as the pipeline takes it.
pub(crate) fn request(traced: Traced) -> pipeline::Request {
    let Traced { name, train, eval, predict, rules, accumulate, peak_memory, .. } = traced;
    pipeline::Request {
        name,
        train,
        eval,
        predict,
        rules,
        accumulate,
        detect_anomaly: false,
        selection: Selection::default(),
        autocast: None,
        peak_memory,
        stores_strips: false,
    }
}
