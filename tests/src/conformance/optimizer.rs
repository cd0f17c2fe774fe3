//! `torch.optim` classes and their keyword arguments, as Kiln's optimisers.

use std::collections::BTreeMap;

use kiln::prelude::*;
use serde_json::Value as Json;

/// What the runner or Kiln lacks for a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsupported(pub String);

/// The optimiser of this class and these arguments; those absent have PyTorch's defaults.
pub fn optimizer(class: &str, args: &BTreeMap<String, Json>) -> Result<Box<dyn Optimizer>, Unsupported> {
    let mut args = Arguments { class, args: args.clone() };
    let optimizer: Box<dyn Optimizer> = match class {
        "SGD" => Box::new(Sgd {
            lr: args.number("lr", 0.001)?,
            momentum: args.number("momentum", 0.0)?,
            dampening: args.number("dampening", 0.0)?,
            weight_decay: args.number("weight_decay", 0.0)?,
            nesterov: args.flag("nesterov", false)?,
        }),
        "Adam" => Box::new(args.adam(0.0)?),
        "AdamW" => Box::new(AdamW(args.adam(0.01)?)),
        _ => return Err(Unsupported(format!("optimizer {class}"))),
    };
    args.finish()?;
    Ok(optimizer)
}

/// Arguments that are taken out one by one, so that none is overlooked.
struct Arguments<'a> {
    class: &'a str,
    args: BTreeMap<String, Json>,
}

impl Arguments<'_> {
    fn number(&mut self, name: &str, default: f64) -> Result<f64, Unsupported> {
        self.take(name, default, Json::as_f64)
    }

    fn flag(&mut self, name: &str, default: bool) -> Result<bool, Unsupported> {
        self.take(name, default, Json::as_bool)
    }

    fn adam(&mut self, weight_decay: f64) -> Result<Adam, Unsupported> {
        let betas = |json: &Json| match json.as_array()?.as_slice() {
            [first, second] => Some((first.as_f64()?, second.as_f64()?)),
            _ => None,
        };
        Ok(Adam {
            lr: self.number("lr", 0.001)?,
            betas: self.take("betas", (0.9, 0.999), betas)?,
            eps: self.number("eps", 1e-8)?,
            weight_decay: self.number("weight_decay", weight_decay)?,
        })
    }

    fn take<T>(&mut self, name: &str, default: T, read: impl Fn(&Json) -> Option<T>) -> Result<T, Unsupported> {
        let Some(json) = self.args.remove(name) else { return Ok(default) };
        read(&json).ok_or_else(|| Unsupported(format!("{}({name}={json})", self.class)))
    }

    /// What nobody took changes the numbers, unless it is switched off.
    fn finish(self) -> Result<(), Unsupported> {
        let off = |json: &Json| matches!(json, Json::Null | Json::Bool(false));
        match self.args.iter().find(|(_, json)| !off(json)) {
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
        assert!(optimizer("SGD", &args(json!({"lr": 0.5, "momentum": 0.9, "maximize": false}))).is_ok());
        assert_eq!(optimizer("AdamW", &args(json!({"betas": [0.7, 0.8]}))).unwrap().learning_rate(), 0.001);
        assert_eq!(fault("SGD", json!({"lr": 0.5, "maximize": true})), "SGD(maximize=true)");
        assert_eq!(fault("Adam", json!({"betas": [0.5]})), "Adam(betas=[0.5])");
        assert_eq!(fault("LBFGS", json!({})), "optimizer LBFGS");
    }
}
