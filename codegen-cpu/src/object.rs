//! All kernels of a program in one object file, with one exported function each and nothing undefined.

use cranelift_codegen::ir::{AbiParam, Signature, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_module::{FuncId, Linkage, Module, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};
use kiln_ir::{Kernel, Program};

use crate::function::{MachineCode, machine_code};
use crate::{Error, Options, options};

/// An object file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// The file, in the host's format (ELF, Mach-O or COFF). The same program and options give the same bytes.
    pub bytes: Vec<u8>,
    /// The function of each kernel, in the program's order.
    pub symbols: Vec<String>,
    /// Instruction set extensions that the code may use, in Cranelift's names without `has_`.
    pub required_features: Vec<String>,
}

/// Compiles every kernel of a program.
pub fn compile_object(program: &Program, options: Options) -> Result<Object, Error> {
    let isa = options::isa(options)?;
    let required_features = options::required_features(&*isa);
    let code = compile_all(&program.kernels, &*isa)?;
    let emission = |error: &dyn std::fmt::Display| Error::Emission(error.to_string());
    let mut builder =
        ObjectBuilder::new(isa, program.name.clone(), default_libcall_names()).map_err(|error| emission(&error))?;
    builder.per_function_section(true);
    let mut module = ObjectModule::new(builder);
    let symbols: Vec<String> = program.kernels.iter().map(|kernel| symbol(program, kernel)).collect();
    place(&mut module, &symbols, &code)?;
    let bytes = module.finish().emit().map_err(|error| emission(&error))?;
    Ok(Object { bytes, symbols, required_features })
}

/// The exported name of a kernel: `kiln_{program}_{kernel}`, letters, digits and underscores.
pub fn symbol(program: &Program, kernel: &Kernel) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("kiln_{}_{}", program.name, kernel.name).chars().map(plain).collect()
}

/// Compiles kernels side by side; the result is in their order.
pub(crate) fn compile_all(kernels: &[Kernel], isa: &dyn TargetIsa) -> Result<Vec<MachineCode>, Error> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(kernels.len()).max(1);
    let mut parts: Vec<Vec<(usize, Result<MachineCode, Error>)>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                scope.spawn(move || {
                    let mine = kernels.iter().enumerate().skip(worker).step_by(threads);
                    mine.map(|(at, kernel)| (at, machine_code(kernel, isa, false))).collect()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut code: Vec<_> = parts.drain(..).flatten().collect();
    code.sort_by_key(|(at, _)| *at);
    code.into_iter().map(|(_, code)| code).collect()
}

/// Declares and defines the functions of a program.
pub(crate) fn place(module: &mut dyn Module, symbols: &[String], code: &[MachineCode]) -> Result<Vec<FuncId>, Error> {
    let emission = |error: cranelift_module::ModuleError| Error::Emission(error.to_string());
    let mut signature = Signature::new(module.isa().default_call_conv());
    signature.params.extend([AbiParam::new(types::I64); 4]);
    let mut functions = Vec::new();
    for (symbol, code) in symbols.iter().zip(code) {
        let function = module.declare_function(symbol, Linkage::Export, &signature).map_err(emission)?;
        module.define_function_bytes(function, code.alignment, &code.bytes, &[]).map_err(emission)?;
        functions.push(function);
    }
    Ok(functions)
}
