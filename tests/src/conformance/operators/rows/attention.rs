//! Attention.

use kiln::functional::Attention;

use super::super::arguments::Stop;
use super::Row;

/// The rows.
pub const ROWS: &[Row] = &[("nn.functional.scaled_dot_product_attention", |a| {
    if a.number("dropout_p", 0.0)? != 0.0 {
        return Err(Stop::Inexpressible("attention has no dropout".to_owned()));
    }
    let options = Attention {
        mask: a.optional_tensor("attn_mask")?,
        is_causal: a.flag("is_causal", false)?,
        scale: a.optional_number("scale")?,
        enable_gqa: a.flag("enable_gqa", false)?,
    };
    Ok(a.tensor("query")?.scaled_dot_product_attention(a.tensor("key")?, a.tensor("value")?, options).into())
})];
