//! Outcomes and their totals.

use std::fmt;
use std::ops::AddAssign;

/// What became of one case.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// All values agree.
    Passed {
        /// The largest share of its tolerance that a value's error takes, and which value that is.
        worst: Option<(f64, String)>,
    },
    /// Each disagreement, with its size.
    Failed(Vec<String>),
    /// The runner cannot express the case: what is missing.
    Unsupported(String),
}

/// How many cases ended which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// All values agree.
    pub passed: usize,
    /// Some value disagrees.
    pub failed: usize,
    /// Not expressible.
    pub unsupported: usize,
}

/// The totals, by the four kinds of case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Cases of operators.
    pub operators: Tally,
    /// Calls that must be refused.
    pub errors: Tally,
    /// Runs of training programs.
    pub programs: Tally,
    /// Rows of tables.
    pub tables: Tally,
}

impl Tally {
    /// Nothing but unsupported cases.
    pub fn unsupported(count: usize) -> Tally {
        Tally { unsupported: count, ..Tally::default() }
    }

    /// Counts one outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed { .. } => self.passed += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Unsupported(_) => self.unsupported += 1,
        }
    }
}

impl Summary {
    /// The number of failed cases of all kinds.
    pub fn failed(&self) -> usize {
        self.kinds().iter().map(|tally| tally.failed).sum()
    }

    /// The number of cases of all kinds.
    pub fn total(&self) -> usize {
        self.kinds().iter().map(|tally| tally.passed + tally.failed + tally.unsupported).sum()
    }

    fn kinds(&self) -> [Tally; 4] {
        [self.operators, self.errors, self.programs, self.tables]
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.unsupported += other.unsupported;
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Passed { worst: None } => write!(f, "passed"),
            Outcome::Passed { worst: Some((share, what)) } => {
                write!(f, "passed (largest error: {:.2} % of its tolerance, {what})", 100.0 * share)
            }
            Outcome::Failed(faults) => {
                write!(f, "failed ({} values)", faults.len())?;
                faults.iter().try_for_each(|fault| write!(f, "\n    {fault}"))
            }
            Outcome::Unsupported(missing) => write!(f, "unsupported: {missing}"),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} unsupported", self.passed, self.failed, self.unsupported)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { operators, errors, programs, tables } = self;
        write!(f, "operators: {operators}; errors: {errors}; programs: {programs}; tables: {tables}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_has_the_four_totals() {
        let mut summary = Summary { operators: Tally::unsupported(3), ..Summary::default() };
        summary.programs.add(&Outcome::Passed { worst: None });
        summary.programs.add(&Outcome::Failed(Vec::new()));
        summary.programs += Tally { passed: 1, failed: 0, unsupported: 2 };
        assert_eq!(
            summary.to_string(),
            "operators: 0 passed, 0 failed, 3 unsupported; errors: 0 passed, 0 failed, 0 unsupported; \
             programs: 2 passed, 1 failed, 2 unsupported; tables: 0 passed, 0 failed, 0 unsupported"
        );
        assert_eq!(summary.failed(), 1);
        assert_eq!(summary.total(), 8);
        assert_eq!(Summary::default().total(), 0);
    }
}
