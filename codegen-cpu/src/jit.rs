//! All kernels of a program in memory, for quick work and for tests. The only place here with unsafe code.

use std::sync::{Arc, Mutex};

use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::default_libcall_names;
use kiln_ir::Program;
use kiln_runtime::abi::{self, KernelFn};

use crate::object::{compile_all, place, symbol};
use crate::{Error, Options, options, tables};

/// A program whose kernels lie in executable memory.
#[derive(Debug)]
pub struct Jit {
    program: Arc<Program>,
    kernels: Vec<KernelFn>,
    code: Arc<Code>,
    detect_anomaly: bool,
}

/// Executable memory, given back when the last program that uses it is dropped.
struct Code {
    /// `JITModule` is not `Sync`; nothing but dropping uses it after its functions are placed.
    module: Mutex<Option<JITModule>>,
}

/// Compiles every kernel of a program into memory.
pub fn jit(program: Arc<Program>, options: Options) -> Result<Jit, Error> {
    let isa = options::isa(options)?;
    let code = compile_all(&program.kernels, &*isa)?;
    let mut module = JITModule::new(JITBuilder::with_isa(isa, default_libcall_names()));
    let symbols: Vec<String> = program.kernels.iter().map(|kernel| symbol(&program, kernel)).collect();
    let functions = place(&mut module, &symbols, &code)?;
    module.finalize_definitions().map_err(|error| Error::Emission(error.to_string()))?;
    let kernels = functions.into_iter().map(|function| kernel_fn(module.get_finalized_function(function))).collect();
    let code = Arc::new(Code { module: Mutex::new(Some(module)) });
    Ok(Jit { program, kernels, code, detect_anomaly: options.detect_anomaly })
}

impl Jit {
    /// The function of each kernel, in the program's order. Valid while this value, or a runtime program made of it, lives.
    pub fn kernels(&self) -> &[KernelFn] {
        &self.kernels
    }

    /// The program as the runtime runs it. It owns the code.
    pub fn into_runtime_program(self) -> Arc<abi::Program> {
        let mut program = tables::runtime_program(&self.program, &self.kernels, self.detect_anomaly);
        program.code = Some(self.code);
        Arc::new(program)
    }
}

#[allow(unsafe_code)]
fn kernel_fn(code: *const u8) -> KernelFn {
    // SAFETY: the address is that of a finished function, compiled with the signature and calling convention of `KernelFn`
    // in `function.rs`; `Jit` and the runtime program keep its memory.
    unsafe { std::mem::transmute::<*const u8, KernelFn>(code) }
}

impl Drop for Code {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        let held = self.module.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(module) = held.take() {
            // SAFETY: every holder of a function pointer also holds this value, and the last one is gone.
            unsafe { module.free_memory() }
        }
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code")
    }
}
