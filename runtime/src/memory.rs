//! Memory as planned and as used.

use std::borrow::Cow;
use std::fmt;

use crate::abi::MemoryClass;

/// The planned memory of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryReport {
    /// Bytes by class at the planned peak, in the program's order, then the scratch memory of the threads.
    pub classes: Vec<MemoryClass>,
    /// Size of the arena.
    pub arena_bytes: u64,
    /// Scratch memory of all threads.
    pub scratch_bytes: u64,
}

impl MemoryReport {
    pub(crate) fn new(planned: &[MemoryClass], arena_bytes: u64, scratch_bytes: u64) -> MemoryReport {
        let mut classes = planned.to_vec();
        if scratch_bytes > 0 {
            classes.push(MemoryClass { name: Cow::Borrowed("thread scratch"), size_bytes: scratch_bytes });
        }
        MemoryReport { classes, arena_bytes, scratch_bytes }
    }

    /// Everything that the session allocates for tensors.
    pub fn total_bytes(&self) -> u64 {
        self.arena_bytes + self.scratch_bytes
    }
}

impl fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for class in &self.classes {
            writeln!(f, "{:<20} {:>12.1} KiB", class.name, class.size_bytes as f64 / 1024.0)?;
        }
        write!(f, "{:<20} {:>12.1} KiB", "total", self.total_bytes() as f64 / 1024.0)
    }
}

/// The most memory this process has had resident so far, in bytes. `None` where the system does not say (only Linux
/// does, in `/proc/self/status`).
pub fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_a_peak() {
        let peak = super::peak_resident_bytes().expect("Linux reports VmHWM");
        assert!(peak > 100 * 1024, "{peak}");
    }
}
