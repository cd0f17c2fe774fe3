//! Stand-in for the trace's scope.

use crate::Module;

/// The time during which a module's `forward` runs.
pub struct Scope;

impl Scope {
    /// Enters `module`; dropping the scope leaves it.
    #[track_caller]
    pub fn enter<M: Module>(_module: &M) -> Scope {
        Scope
    }
}
