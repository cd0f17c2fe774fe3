//! `torch.optim.LBFGS`: an optimiser that evaluates loss and gradient several times a step, so it is not compiled into the step but drives it.
//!
//! Limited-memory BFGS (Liu and Nocedal, 1989) with the two-loop recursion, a fixed rate or a line search for the strong Wolfe conditions. The directions are
//! computed on the host in f64, the loss and its gradient by the program, which is compiled without an optimiser: such a `train_step` has the
//! gradients as outputs.

mod line_search;
mod train;

use std::collections::VecDeque;

use line_search::strong_wolfe;

/// Pairs with less curvature than this are not remembered.
const MIN_CURVATURE: f64 = 1e-10;

/// How the length of a step is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineSearch {
    /// The learning rate.
    #[default]
    Fixed,
    /// `line_search_fn="strong_wolfe"`: the learning rate is the first length to try.
    StrongWolfe,
}

/// Options with PyTorch's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LbfgsOptions {
    /// Learning rate.
    pub lr: f64,
    /// Iterations a step.
    pub max_iter: usize,
    /// Evaluations a step; `None`: `max_iter·5/4`.
    pub max_eval: Option<usize>,
    /// A step ends when no element of the gradient is greater.
    pub tolerance_grad: f64,
    /// A step ends when the loss or the weights change by less.
    pub tolerance_change: f64,
    /// Remembered pairs of steps and gradient differences.
    pub history_size: usize,
    /// How the length of a step is found.
    pub line_search: LineSearch,
}

impl Default for LbfgsOptions {
    fn default() -> LbfgsOptions {
        LbfgsOptions {
            lr: 1.0,
            max_iter: 20,
            max_eval: None,
            tolerance_grad: 1e-7,
            tolerance_change: 1e-9,
            history_size: 100,
            line_search: LineSearch::Fixed,
        }
    }
}

/// The optimiser and what it remembers of earlier steps.
#[derive(Debug, Clone, Default)]
pub struct Lbfgs {
    /// The options; they may be changed between steps.
    pub options: LbfgsOptions,
    iterations: usize,
    direction: Vec<f64>,
    length: f64,
    diagonal: f64,
    previous_gradient: Vec<f64>,
    history: VecDeque<Pair>,
}

/// One remembered step.
#[derive(Debug, Clone)]
struct Pair {
    difference: Vec<f64>,
    step: Vec<f64>,
    inverse_curvature: f64,
}

/// A loss and its gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The value.
    pub loss: f64,
    /// By element of the point.
    pub gradient: Vec<f64>,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LbfgsStep {
    /// The loss before.
    pub loss: f64,
    /// How often loss and gradient were evaluated.
    pub evaluations: usize,
}

impl Lbfgs {
    /// A fresh optimiser.
    pub fn new(options: LbfgsOptions) -> Lbfgs {
        Lbfgs { options, ..Lbfgs::default() }
    }

    /// Moves `point` towards a minimum of the function whose loss and gradient `evaluate` gives.
    ///
    /// # Errors
    ///
    /// Those of `evaluate`.
    pub fn minimize<E>(
        &mut self,
        point: &mut [f64],
        mut evaluate: impl FnMut(&[f64]) -> Result<Evaluated, E>,
    ) -> Result<LbfgsStep, E> {
        let options = self.options;
        let max_eval = options.max_eval.unwrap_or(options.max_iter * 5 / 4);
        let mut at = evaluate(point)?;
        let mut done = LbfgsStep { loss: at.loss, evaluations: 1 };
        if largest(&at.gradient) <= options.tolerance_grad {
            return Ok(done);
        }
        for iteration in 1..=options.max_iter {
            let first = self.iterations == 0;
            self.iterations += 1;
            self.choose_direction(&at.gradient);
            self.previous_gradient.clone_from(&at.gradient);
            let before = at.loss;
            let damping = if first { (1.0 / sum_of_sizes(&at.gradient)).min(1.0) } else { 1.0 };
            self.length = damping * options.lr;
            let slope = dot(&at.gradient, &self.direction);
            if slope > -options.tolerance_change {
                break;
            }
            match options.line_search {
                LineSearch::StrongWolfe => {
                    let mut along = |length: f64| {
                        done.evaluations += 1;
                        evaluate(&moved(point, &self.direction, length))
                    };
                    (self.length, at) =
                        strong_wolfe(&mut along, &self.direction, self.length, &at, slope, options.tolerance_change)?;
                    point.copy_from_slice(&moved(point, &self.direction, self.length));
                }
                LineSearch::Fixed => {
                    point.copy_from_slice(&moved(point, &self.direction, self.length));
                    // Nobody would look at what the last iteration evaluates.
                    if iteration != options.max_iter {
                        at = evaluate(point)?;
                        done.evaluations += 1;
                    }
                }
            }
            if done.evaluations >= max_eval
                || largest(&at.gradient) <= options.tolerance_grad
                || largest(&self.direction) * self.length <= options.tolerance_change
                || (at.loss - before).abs() < options.tolerance_change
            {
                break;
            }
        }
        Ok(done)
    }

    /// `-H·gradient`, with the inverse Hessian's approximation `H` from the remembered pairs (Nocedal and Wright, algorithm 7.4).
    fn choose_direction(&mut self, gradient: &[f64]) {
        let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
        if self.iterations == 1 {
            self.direction = direction;
            self.diagonal = 1.0;
            return;
        }
        let difference: Vec<f64> = gradient.iter().zip(&self.previous_gradient).map(|(new, old)| new - old).collect();
        let step: Vec<f64> = self.direction.iter().map(|d| d * self.length).collect();
        let curvature = dot(&difference, &step);
        if curvature > MIN_CURVATURE {
            if self.history.len() >= self.options.history_size {
                self.history.pop_front();
            }
            self.diagonal = curvature / dot(&difference, &difference);
            self.history.push_back(Pair { difference, step, inverse_curvature: 1.0 / curvature });
        }
        let mut weights = Vec::with_capacity(self.history.len());
        for pair in self.history.iter().rev() {
            let weight = dot(&pair.step, &direction) * pair.inverse_curvature;
            add(&mut direction, &pair.difference, -weight);
            weights.push(weight);
        }
        direction.iter_mut().for_each(|d| *d *= self.diagonal);
        for (pair, weight) in self.history.iter().zip(weights.iter().rev()) {
            let correction = dot(&pair.difference, &direction) * pair.inverse_curvature;
            add(&mut direction, &pair.step, weight - correction);
        }
        self.direction = direction;
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(target: &mut [f64], other: &[f64], factor: f64) {
    target.iter_mut().zip(other).for_each(|(target, other)| *target += other * factor);
}

fn moved(point: &[f64], direction: &[f64], length: f64) -> Vec<f64> {
    point.iter().zip(direction).map(|(x, d)| x + length * d).collect()
}

fn largest(vector: &[f64]) -> f64 {
    vector.iter().fold(0.0, |most, x| x.abs().max(most))
}

fn sum_of_sizes(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x.abs()).sum()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Rosenbrock's valley: the minimum is at (1, 1).
    fn rosenbrock(point: &[f64]) -> Result<Evaluated, Infallible> {
        let (x, y) = (point[0], point[1]);
        let gradient = vec![-400.0 * x * (y - x * x) - 2.0 * (1.0 - x), 200.0 * (y - x * x)];
        Ok(Evaluated { loss: 100.0 * (y - x * x).powi(2) + (1.0 - x).powi(2), gradient })
    }

    #[test]
    fn a_line_search_finds_the_minimum_of_a_valley() {
        let mut lbfgs = Lbfgs::new(LbfgsOptions { line_search: LineSearch::StrongWolfe, ..LbfgsOptions::default() });
        let mut point = [-1.2, 1.0];
        let losses: Vec<f64> = (0..4).map(|_| lbfgs.minimize(&mut point, rosenbrock).unwrap().loss).collect();
        assert!((losses[0] - 24.2).abs() < 1e-12, "{losses:?}");
        assert!(losses.windows(2).all(|pair| pair[1] <= pair[0]), "{losses:?}");
        assert!((point[0] - 1.0).abs() < 1e-4 && (point[1] - 1.0).abs() < 1e-4, "{point:?} after {losses:?}");
    }

    #[test]
    fn a_quadratic_is_solved_with_a_fixed_rate() {
        let scales = [1.0, 10.0, 0.1];
        let quadratic = |point: &[f64]| -> Result<Evaluated, Infallible> {
            let gradient: Vec<f64> = point.iter().zip(scales).map(|(x, scale)| scale * x).collect();
            Ok(Evaluated { loss: dot(point, &gradient) / 2.0, gradient })
        };
        let mut lbfgs = Lbfgs::new(LbfgsOptions { lr: 0.5, max_iter: 60, history_size: 5, ..LbfgsOptions::default() });
        let mut point = [1.0, -1.0, 2.0];
        let step = lbfgs.minimize(&mut point, quadratic).unwrap();
        assert!(largest(&point) < 1e-4, "{point:?}");
        assert!(step.evaluations <= 75, "{step:?}");
    }

    #[test]
    fn an_error_of_the_function_ends_the_step() {
        let mut point = [0.0];
        assert_eq!(Lbfgs::default().minimize(&mut point, |_| Err("no data")), Err("no data"));
    }
}
