//! `programs/gpt` and `programs/gpt_untied`: the zoo's GPT from the arguments of the Python class.

use kiln::zoo::{Gpt, GptConfig};
use serde::Deserialize;

use super::Unsupported;

/// Arguments of the Python class.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    vocab: usize,
    context: usize,
    layers: usize,
    heads: usize,
    width: usize,
    tied: bool,
    fused: bool,
    approximate: String,
}

impl Default for Config {
    fn default() -> Config {
        let (tied, fused, approximate) = (true, false, "none".to_owned());
        Config { vocab: 65, context: 32, layers: 2, heads: 4, width: 32, tied, fused, approximate }
    }
}

/// The model.
pub fn new(config: &Config) -> Result<Gpt, Unsupported> {
    let Config { vocab, context, layers, heads, width, tied, fused, ref approximate } = *config;
    let approximate = approximate.parse().map_err(|_| Unsupported(format!("GELU by {approximate}")))?;
    Ok(Gpt::new(GptConfig { vocab, context, layers, heads, width, tied, fused, approximate, embedding_std: 0.1 }))
}
