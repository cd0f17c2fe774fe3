//! `torch.optim` classes and their keyword arguments, as Kiln's optimisers.

use std::collections::BTreeMap;

use kiln::optim::AdjustLr;
use kiln::prelude::*;
use kiln::runtime::{LbfgsOptions, LineSearch};
use serde_json::Value as Json;

/// What the runner or Kiln lacks for a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsupported(pub String);

/// Reads options into a struct: the default of each is the struct's own.
macro_rules! options {
    ($args:ident, $type:ident($lr:literal) { $($field:ident: $kind:ident,)* }) => {{
        let mut optimizer = $type::new($args.number("lr", $lr)?);
        $(optimizer.$field = $args.$kind(stringify!($field), optimizer.$field)?;)*
        Box::new(optimizer)
    }};
}

/// The optimiser of this class and these arguments; those absent have PyTorch's defaults.
pub fn optimizer(class: &str, args: &Args) -> Result<Box<dyn Optimizer>, Unsupported> {
    let mut args = Arguments::new(class, args);
    let optimizer: Box<dyn Optimizer> = match class {
        "SGD" => options!(args, Sgd(1e-3) {
            momentum: number, dampening: number, weight_decay: number, nesterov: flag, maximize: flag,
        }),
        "Adam" if args.switched_on("decoupled_weight_decay") => args.adamw()?,
        "Adam" => options!(args, Adam(1e-3) {
            betas: pair, eps: number, weight_decay: number, amsgrad: flag, maximize: flag,
        }),
        "AdamW" => args.adamw()?,
        "RMSprop" => options!(args, RmsProp(1e-2) {
            alpha: number, eps: number, weight_decay: number, momentum: number, centered: flag, maximize: flag,
        }),
        "Adagrad" => options!(args, Adagrad(1e-2) {
            lr_decay: number, weight_decay: number, initial_accumulator_value: number, eps: number, maximize: flag,
        }),
        "Adadelta" => options!(args, Adadelta(1.0) {
            rho: number, eps: number, weight_decay: number, maximize: flag,
        }),
        "Adamax" => options!(args, Adamax(2e-3) {
            betas: pair, eps: number, weight_decay: number, maximize: flag,
        }),
        "NAdam" => options!(args, NAdam(2e-3) {
            betas: pair, eps: number, weight_decay: number, momentum_decay: number, decoupled_weight_decay: flag,
            maximize: flag,
        }),
        "RAdam" => options!(args, RAdam(1e-3) {
            betas: pair, eps: number, weight_decay: number, decoupled_weight_decay: flag, maximize: flag,
        }),
        "Muon" => options!(args, Muon(1e-3) {
            weight_decay: number, momentum: number, nesterov: flag, ns_coefficients: triple, eps: number, ns_steps: count,
            adjust_lr: adjust_lr,
        }),
        _ => return Err(Unsupported(format!("optimizer {class}"))),
    };
    args.finish()?;
    Ok(optimizer)
}

/// The options of `torch.optim.LBFGS`.
pub fn lbfgs(args: &Args) -> Result<LbfgsOptions, Unsupported> {
    let mut args = Arguments::new("LBFGS", args);
    let default = LbfgsOptions::default();
    let options = LbfgsOptions {
        lr: args.number("lr", default.lr)?,
        max_iter: args.count("max_iter", default.max_iter)?,
        max_eval: args.take("max_eval", None, |json| Some(Some(json.as_u64()? as usize)))?,
        tolerance_grad: args.number("tolerance_grad", default.tolerance_grad)?,
        tolerance_change: args.number("tolerance_change", default.tolerance_change)?,
        history_size: args.count("history_size", default.history_size)?,
        line_search: args.take("line_search_fn", default.line_search, |json| {
            (json.as_str()? == "strong_wolfe").then_some(LineSearch::StrongWolfe)
        })?,
    };
    args.finish()?;
    Ok(options)
}

/// Keyword arguments.
pub type Args = BTreeMap<String, Json>;

/// Arguments that are taken out one by one, so that none is overlooked.
pub(super) struct Arguments<'a> {
    class: &'a str,
    args: BTreeMap<String, Json>,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(class: &'a str, args: &Args) -> Arguments<'a> {
        Arguments { class, args: args.clone() }
    }

    pub(super) fn number(&mut self, name: &str, default: f64) -> Result<f64, Unsupported> {
        self.take(name, default, Json::as_f64)
    }

    pub(super) fn flag(&mut self, name: &str, default: bool) -> Result<bool, Unsupported> {
        self.take(name, default, Json::as_bool)
    }

    pub(super) fn count(&mut self, name: &str, default: usize) -> Result<usize, Unsupported> {
        self.take(name, default, |json| json.as_u64().map(|count| count as usize))
    }

    pub(super) fn counts(&mut self, name: &str) -> Result<Vec<u64>, Unsupported> {
        self.take(name, Vec::new(), |json| json.as_array()?.iter().map(Json::as_u64).collect())
    }

    /// One number for all axes, or one each.
    pub(super) fn per_axis<const N: usize>(&mut self, name: &str, default: usize) -> Result<[usize; N], Unsupported> {
        let count = |json: &Json| json.as_u64().map(|count| count as usize);
        self.take(name, [default; N], |json| match json.as_array() {
            Some(each) => each.iter().map(count).collect::<Option<Vec<usize>>>()?.try_into().ok(),
            None => Some([count(json)?; N]),
        })
    }

    fn pair(&mut self, name: &str, default: (f64, f64)) -> Result<(f64, f64), Unsupported> {
        self.take(name, default, |json| match json.as_array()?.as_slice() {
            [first, second] => Some((first.as_f64()?, second.as_f64()?)),
            _ => None,
        })
    }

    fn triple(&mut self, name: &str, default: (f64, f64, f64)) -> Result<(f64, f64, f64), Unsupported> {
        self.take(name, default, |json| match json.as_array()?.as_slice() {
            [first, second, third] => Some((first.as_f64()?, second.as_f64()?, third.as_f64()?)),
            _ => None,
        })
    }

    fn adjust_lr(&mut self, _: &str, default: AdjustLr) -> Result<AdjustLr, Unsupported> {
        self.take("adjust_lr_fn", default, |json| match json.as_str()? {
            "original" => Some(AdjustLr::Original),
            "match_rms_adamw" => Some(AdjustLr::MatchRmsAdamW),
            _ => None,
        })
    }

    fn adamw(&mut self) -> Result<Box<dyn Optimizer>, Unsupported> {
        self.args.remove("decoupled_weight_decay");
        let args = self;
        // `Adam` decays by nothing unless asked to, `AdamW` by its own default.
        let default = if args.class == "Adam" { 0.0 } else { AdamW::default().weight_decay };
        let weight_decay = args.number("weight_decay", default)?;
        let optimizer = options!(args, AdamW(1e-3) { betas: pair, eps: number, amsgrad: flag, maximize: flag, });
        Ok(Box::new(optimizer.weight_decay(weight_decay)))
    }

    fn switched_on(&self, name: &str) -> bool {
        self.args.get(name).and_then(Json::as_bool).unwrap_or(false)
    }

    pub(super) fn take<T>(
        &mut self,
        name: &str,
        default: T,
        read: impl Fn(&Json) -> Option<T>,
    ) -> Result<T, Unsupported> {
        let Some(json) = self.args.remove(name) else { return Ok(default) };
        if json.is_null() {
            return Ok(default);
        }
        read(&json).ok_or_else(|| Unsupported(format!("{}({name}={json})", self.class)))
    }

    /// For layers, where an option that is switched off (`bias`) counts too.
    pub(super) fn all_taken(self) -> Result<(), Unsupported> {
        match self.args.first_key_value() {
            Some((name, json)) => Err(Unsupported(format!("{}({name}={json})", self.class))),
            None => Ok(()),
        }
    }

    /// What nobody took changes the numbers, unless it is switched off or is about speed alone.
    pub(super) fn finish(self) -> Result<(), Unsupported> {
        let off = |json: &Json| matches!(json, Json::Null | Json::Bool(false));
        let harmless = |name: &str| ["foreach", "fused", "capturable"].contains(&name);
        match self.args.iter().find(|(name, json)| !off(json) && !harmless(name)) {
            Some((name, json)) => Err(Unsupported(format!("{}({name}={json})", self.class))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn args(json: Json) -> BTreeMap<String, Json> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn arguments_are_all_used_or_named() {
        let fault = |class, json| optimizer(class, &args(json)).err().unwrap().0;
        let sgd = json!({"lr": 0.5, "momentum": 0.9, "foreach": true, "differentiable": false});
        assert!(optimizer("SGD", &args(sgd)).is_ok());
        assert_eq!(optimizer("AdamW", &args(json!({"betas": [0.7, 0.8]}))).unwrap().learning_rate(), 0.001);
        assert_eq!(fault("SGD", json!({"lr": 0.5, "damping": 0.1})), "SGD(damping=0.1)");
        assert_eq!(fault("Adam", json!({"betas": [0.5]})), "Adam(betas=[0.5])");
        assert_eq!(fault("SparseAdam", json!({})), "optimizer SparseAdam");
        assert_eq!(
            lbfgs(&args(json!({"line_search_fn": "armijo"}))).unwrap_err().0,
            "LBFGS(line_search_fn=\"armijo\")"
        );
    }
}
