//! `programs/unet`: the zoo's U-Net from the arguments of the Python class.

use kiln::zoo::{UNet, UNetConfig};
use serde::Deserialize;

use super::Unsupported;

/// Arguments of the Python class.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    widths: Vec<usize>,
    bilinear: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config { widths: vec![6, 12, 24], bilinear: false }
    }
}

/// The model.
pub fn new(config: &Config) -> Result<UNet, Unsupported> {
    let Config { ref widths, bilinear } = *config;
    if widths.len() != 3 {
        return Err(Unsupported(format!("{} widths", widths.len())));
    }
    Ok(UNet::new(&UNetConfig { channels: 3, classes: 1, widths: widths.clone(), bilinear }))
}
