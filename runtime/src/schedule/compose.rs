//! Schedules made of schedules: `SequentialLR` and `ChainedScheduler`.

use super::{Kind, Rates, Schedule, ScheduleError, ensure};

pub(super) fn check(parts: &[Schedule], milestones: &[u64]) -> Result<(), ScheduleError> {
    let name = "SequentialLR";
    check_parts(name, parts)?;
    let found = format!("{} schedules and milestones {milestones:?}", parts.len());
    let rises = milestones.is_sorted_by(|a, b| a < b);
    ensure(milestones.len() + 1 == parts.len() && rises, name, "rising milestones, one fewer than schedules", found)
}

/// A part that waits for a metric would never step.
pub(super) fn check_parts(name: &'static str, parts: &[Schedule]) -> Result<(), ScheduleError> {
    ensure(!parts.is_empty(), name, "at least one schedule", "none")?;
    let waits = parts.iter().any(|part| matches!(part.kind, Kind::Plateau(_)));
    ensure(!waits, name, "schedules that step without a metric", "ReduceLROnPlateau")
}

/// Every part starts, as PyTorch constructs all of them, but only the first one's start stays.
pub(super) fn start_parts(parts: &mut [Schedule], rates: &mut Rates) -> Result<(), ScheduleError> {
    for part in parts.iter_mut() {
        part.start(rates)?;
    }
    rates.lr.clone_from(&rates.initial_lr);
    parts.iter_mut().for_each(undo);
    parts[0].step(rates)
}

/// The part whose turn it is steps; at its milestone it begins anew.
pub(super) fn step_parts(
    parts: &mut [Schedule],
    milestones: &[u64],
    epoch: u64,
    rates: &mut Rates,
) -> Result<(), ScheduleError> {
    let turn = milestones.iter().filter(|&&milestone| milestone <= epoch).count();
    match turn.checked_sub(1).map(|before| milestones[before]) {
        Some(milestone) if milestone == epoch => parts[turn].step_to(0.0, rates),
        _ => parts[turn].step(rates),
    }
}

/// Takes a part back to before its start.
fn undo(schedule: &mut Schedule) {
    schedule.epoch -= 1;
    match &mut schedule.kind {
        Kind::Sequential { parts, .. } | Kind::Chained(parts) => parts.iter_mut().for_each(undo),
        _ => {}
    }
}
