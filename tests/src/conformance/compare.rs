//! The comparison rule: `|got - want| <= atol + rtol * |want|`, equal dtypes and shapes; NaN agrees with NaN, an infinity with itself.

use kiln_ir::interpret::Value;
use serde::Deserialize;

use super::Outcome;

/// How far a value may be from the wanted one; `[rtol, atol]` in the files.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(from = "[f64; 2]")]
pub struct Tolerance {
    /// Relative to the wanted value.
    pub rtol: f64,
    /// Absolute.
    pub atol: f64,
}

/// The comparisons of one case.
#[derive(Clone, PartialEq, Debug)]
pub struct Checks {
    /// What passes, in units of the tolerance.
    slack: f64,
    worst: Option<(f64, String)>,
    faults: Vec<String>,
}

impl From<[f64; 2]> for Tolerance {
    fn from([rtol, atol]: [f64; 2]) -> Tolerance {
        Tolerance { rtol, atol }
    }
}

impl Tolerance {
    /// Equality, as integers are compared.
    pub const EXACT: Tolerance = Tolerance { rtol: 0.0, atol: 0.0 };

    /// The share of the tolerance that the error takes: the values agree up to 1.
    pub fn share(self, got: f64, want: f64) -> f64 {
        if got == want || (got.is_nan() && want.is_nan()) {
            return 0.0;
        }
        let (error, allowed) = ((got - want).abs(), self.atol + self.rtol * want.abs());
        // An infinity agrees with nothing else, although `allowed` may be infinite too; 0 / 0 cannot occur.
        if error.is_finite() { error / allowed } else { f64::INFINITY }
    }
}

impl Default for Checks {
    fn default() -> Checks {
        Checks::within(1.0)
    }
}

impl Checks {
    /// No comparison yet; what is off by so many tolerances passes.
    pub fn within(slack: f64) -> Checks {
        Checks { slack, worst: None, faults: Vec::new() }
    }

    /// Compares one number.
    pub fn number(&mut self, what: &str, got: f64, want: f64, tolerance: Tolerance) {
        let share = tolerance.share(got, want);
        if share > self.slack {
            self.faults.push(format!("{what}: {got:e} instead of {want:e}, {share:.3e} of the tolerance"));
        }
        self.note(share, what);
    }

    /// Compares a tensor. Integers and truth values must be equal whatever the tolerance.
    pub fn tensor(&mut self, what: &str, got: &Value, want: &Value, tolerance: Tolerance) {
        if got.dtype != want.dtype || got.shape != want.shape {
            let fault = format!("{what}: {}{:?} instead of {}{:?}", got.dtype, got.shape, want.dtype, want.shape);
            self.faults.push(fault);
            return;
        }
        let tolerance = if want.dtype.is_float() { tolerance } else { Tolerance::EXACT };
        let mut worst = (0.0, 0);
        let mut wrong = 0;
        for (position, (&got, &want)) in got.data.iter().zip(&want.data).enumerate() {
            let share = tolerance.share(got, want);
            wrong += usize::from(share > self.slack);
            if share > worst.0 {
                worst = (share, position);
            }
        }
        let (share, position) = worst;
        if wrong > 0 {
            let (got, want, count) = (got.data[position], want.data[position], want.data.len());
            self.faults.push(format!(
                "{what}: {wrong} of {count} elements, at worst {got:e} instead of {want:e} at {position}, \
                 {share:.3e} of the tolerance"
            ));
        }
        self.note(share, what);
    }

    /// Notes what went wrong otherwise.
    pub fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }

    /// What the comparisons say together.
    pub fn outcome(self) -> Outcome {
        if self.faults.is_empty() { Outcome::Passed { worst: self.worst } } else { Outcome::Failed(self.faults) }
    }

    fn note(&mut self, share: f64, what: &str) {
        if self.worst.as_ref().is_none_or(|(worst, _)| share > *worst) {
            self.worst = Some((share, what.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_ir::DType;

    use super::*;

    const TOLERANCE: Tolerance = Tolerance { rtol: 0.1, atol: 0.01 };

    #[test]
    fn the_rule_is_relative_plus_absolute_with_infinities_and_nan_equal_to_themselves() {
        assert!((TOLERANCE.share(1.11, 1.0) - 1.0).abs() < 1e-12);
        assert_eq!(TOLERANCE.share(f64::NAN, f64::NAN), 0.0);
        assert_eq!(TOLERANCE.share(f64::INFINITY, f64::INFINITY), 0.0);
        assert_eq!(TOLERANCE.share(f64::INFINITY, f64::NEG_INFINITY), f64::INFINITY);
        assert_eq!(TOLERANCE.share(1.0, f64::INFINITY), f64::INFINITY);
        assert_eq!(TOLERANCE.share(f64::NAN, 1.0), f64::INFINITY);
        assert_eq!(TOLERANCE.share(-0.0, 0.0), 0.0);
        assert_eq!(Tolerance::EXACT.share(2.0, 1.0), f64::INFINITY);
    }

    #[test]
    fn a_wrong_element_a_wrong_shape_and_a_wrong_dtype_fail() {
        let tensor = |dtype, data: Vec<f64>| Value::new(dtype, vec![data.len()], data).unwrap();
        let outcome = |got: &Value, want: &Value| {
            let mut checks = Checks::default();
            checks.tensor("w", got, want, TOLERANCE);
            checks.outcome()
        };
        let want = tensor(DType::F32, vec![1.0, 2.0]);
        assert!(matches!(outcome(&tensor(DType::F32, vec![1.05, 2.0]), &want), Outcome::Passed { .. }));
        let Outcome::Failed(faults) = outcome(&tensor(DType::F32, vec![1.0, 2.5]), &want) else { panic!() };
        assert_eq!(
            faults,
            ["w: 1 of 2 elements, at worst 2.5e0 instead of 2e0 at 1, 2.381e0 of the tolerance".to_owned()]
        );
        assert!(matches!(outcome(&tensor(DType::F64, vec![1.0, 2.0]), &want), Outcome::Failed(_)));
        assert!(matches!(outcome(&tensor(DType::F32, vec![1.0]), &want), Outcome::Failed(_)));
        let (one, two) = (tensor(DType::I64, vec![100.0]), tensor(DType::I64, vec![101.0]));
        assert!(matches!(outcome(&one, &two), Outcome::Failed(_)));
    }
}
