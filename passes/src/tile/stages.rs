//! Schedules of kernels with stages: each contraction among them has its tiles, and threads divide the loops around.

use kiln_ir::AxisId;
use kiln_ir::kernel::{Kernel, Schedule, Statement};

use super::contract;

/// With so many items all threads are busy, and what is left of the loops around can use what an item has packed.
const ENOUGH_ITEMS: usize = 16;

/// Schedules a kernel that has stages.
pub fn run(kernel: &mut Kernel, max_batch: usize) {
    let Some((shared, stages)) = kernel.stages() else { return };
    let (shared, stages) = (shared.to_vec(), stages.to_vec());
    let (mut thread, mut items): (Vec<AxisId>, usize) = (Vec::new(), 1);
    for &axis in shared.iter().take_while(|&&axis| kernel.axis(axis).limit.is_none()) {
        if items >= ENOUGH_ITEMS {
            break;
        }
        items *= kernel.axis(axis).extent.at(max_batch);
        thread.push(axis);
    }
    let mut contracts = Vec::new();
    let mut scheduled = Vec::new();
    for stage in stages {
        // A stage alone is a kernel in which the axes around it stand.
        kernel.body = vec![stage];
        kernel.schedule = Schedule::default();
        contract::stage(kernel, max_batch);
        contracts.append(&mut kernel.schedule.contracts);
        scheduled.append(&mut kernel.body);
    }
    kernel.body = vec![Statement::For(shared, scheduled)];
    kernel.schedule = Schedule { thread, grain: 1, contracts, ..Schedule::default() };
}
