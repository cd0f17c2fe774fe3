//! What happens to all gradients before the optimiser sees them: accumulation over batches, unscaling, clipping.

use kiln_ir::update::names;
use kiln_ir::{DType, Init, Role, Type};

use super::GradScaler;
use super::rules::{Finish, input};
use crate::{Parameter, Tensor};

/// Added to the norm that a clipped gradient is divided by, as in PyTorch.
const NORM_EPS: f64 = 1e-6;

/// One limit for gradients.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Clip {
    /// Every element to `[-limit, limit]`.
    Value(f64),
    /// The norm of this order of all gradients together.
    Norm { max: f64, order: f64 },
}

/// The options of a training that concern gradients.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct GradientRule {
    /// Batches between two updates.
    pub(crate) accumulate: Option<usize>,
    pub(crate) scaler: Option<GradScaler>,
    /// In the order in which they were asked for.
    pub(crate) clips: Vec<Clip>,
}

/// Gradients by name, and the new values of states.
struct Gradients {
    named: Vec<(String, Tensor)>,
    updates: Vec<(Tensor, Tensor)>,
    reported: Vec<(String, Tensor)>,
}

impl GradientRule {
    pub(crate) fn accumulates(&self) -> bool {
        self.accumulate.is_some()
    }

    pub(crate) fn skips(&self) -> bool {
        self.scaler.is_some()
    }

    /// Before an update: the sum of the gradients, unscaled and clipped; what was accumulated starts again at zero.
    pub(super) fn before_update(&self, parameters: &[(String, Parameter)], finish: Finish<'_>) {
        let mut gradients = self.accumulated(parameters, |sum| sum.zeros_like());
        if let Some(count) = self.count() {
            gradients.updates.push((count, count * 0.0));
        }
        if let Some(scaler) = &self.scaler {
            gradients.unscale(scaler);
        }
        for clip in &self.clips {
            gradients.clip(*clip);
        }
        gradients.finish(finish);
    }

    /// After a batch without an update: the gradients are added to those of earlier batches.
    pub(super) fn between_updates(&self, parameters: &[(String, Parameter)], finish: Finish<'_>) {
        let mut gradients = self.accumulated(parameters, |sum| sum);
        if let Some(count) = self.count() {
            gradients.updates.push((count, count + 1.0));
        }
        gradients.named.clear();
        gradients.finish(finish);
    }

    fn count(&self) -> Option<Tensor> {
        let zero = || input(names::ACCUMULATE_COUNT, Role::State, Type::scalar(DType::F64), Init::Zeros);
        self.accumulate.map(|_| zero())
    }

    /// The gradient of every parameter, `grad + d/steps` where batches are accumulated; `keep` says from the sum what stays.
    fn accumulated(&self, parameters: &[(String, Parameter)], keep: impl Fn(Tensor) -> Tensor) -> Gradients {
        let mut updates = Vec::new();
        let gradient = |(name, parameter): &(String, Parameter)| {
            let ty = Type::new(parameter.dtype(), parameter.shape());
            let name_of_gradient = names::gradient_of(name);
            let gradient = input(&name_of_gradient, Role::Data, ty.clone(), Init::Zeros);
            let Some(steps) = self.accumulate else { return (name_of_gradient, gradient) };
            let init = Init::Constant(steps as f64);
            let steps = input(names::ACCUMULATE_STEPS, Role::Scalar, Type::scalar(DType::F64), init);
            let kept = input(&format!("{}.{name}", names::ACCUMULATED), Role::State, ty, Init::Zeros);
            let sum = kept + gradient / steps.to(DType::F32);
            updates.push((kept, keep(sum)));
            (name_of_gradient, sum)
        };
        Gradients { named: parameters.iter().map(gradient).collect(), updates, reported: Vec::new() }
    }
}

impl Gradients {
    fn map(&mut self, f: impl Fn(Tensor) -> Tensor) {
        for (_, gradient) in &mut self.named {
            *gradient = f(*gradient);
        }
    }

    /// As `GradScaler.unscale_` and `GradScaler.update`; the rules see [`names::FOUND_INF`].
    fn unscale(&mut self, scaler: &GradScaler) {
        let axes = |gradient: &Tensor| (0..gradient.rank() as i64).collect::<Vec<i64>>();
        let overflows = self.named.iter().map(|(_, g)| g.isfinite().logical_not().any(&axes(g), false));
        let found_inf = overflows.reduce(|a, b| a.logical_or(b)).unwrap_or_else(|| Tensor::full(0.0, DType::Bool));
        let inverse = (1.0 / scaler.scale().to(DType::F64)).to(DType::F32);
        self.map(|gradient| gradient * inverse);
        self.updates.extend(scaler.update(found_inf));
        self.reported.push((names::FOUND_INF.to_owned(), found_inf));
    }

    fn clip(&mut self, clip: Clip) {
        match clip {
            Clip::Value(limit) => self.map(|gradient| gradient.clamp(Some(-limit), Some(limit))),
            Clip::Norm { max, order } => {
                let norm = self.norm(order);
                let factor = (max / (norm + NORM_EPS)).clamp(None, Some(1.0));
                self.map(|gradient| gradient * factor);
                self.reported.retain(|(name, _)| name != names::GRADIENT_NORM);
                self.reported.push((names::GRADIENT_NORM.to_owned(), norm));
            }
        }
    }

    /// The norm of the norms.
    fn norm(&self, order: f64) -> Tensor {
        let axes = |gradient: &Tensor| (0..gradient.rank() as i64).collect::<Vec<i64>>();
        let of_one = |gradient: &Tensor| {
            let size = gradient.abs();
            match order {
                f64::INFINITY => size.amax(&axes(gradient), false),
                1.0 => size.sum_all(),
                2.0 => gradient.square().sum_all(),
                _ => size.pow(order).sum_all(),
            }
        };
        let parts = self.named.iter().map(|(_, gradient)| of_one(gradient));
        let all = parts.reduce(|a, b| if order == f64::INFINITY { a.maximum(b) } else { a + b });
        let all = all.unwrap_or_else(|| Tensor::full(0.0, DType::F32));
        match order {
            f64::INFINITY | 1.0 => all,
            2.0 => all.sqrt(),
            _ => all.pow(1.0 / order),
        }
    }

    fn finish(self, finish: Finish<'_>) {
        let results: Vec<(String, Tensor)> = self.named.into_iter().chain(self.reported).collect();
        finish(&results, &self.updates);
    }
}
