//! Attention.

use kiln::functional::Attention;

use super::Row;

/// The rows.
pub const ROWS: &[Row] = &[("nn.functional.scaled_dot_product_attention", |a| {
    let options = Attention {
        mask: a.optional_tensor("attn_mask")?,
        dropout_p: a.number("dropout_p", 0.0)?,
        is_causal: a.flag("is_causal", false)?,
        scale: a.optional_number("scale")?,
        enable_gqa: a.flag("enable_gqa", false)?,
    };
    Ok(a.tensor("query")?.scaled_dot_product_attention(a.tensor("key")?, a.tensor("value")?, options).into())
})];
