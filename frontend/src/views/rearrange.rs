//! Axes by name, in the notation of einops (Rogozhnikov, ICLR 2022): `b h w c -> (b h) w c`. A pattern is read when the model is traced, and
//! becomes at most three views.

use kiln_ir::{Code, Diagnostic, Dim, Op, Shape, ops};

use crate::Tensor;

/// An axis of a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Axis<'a> {
    Named(&'a str),
    /// One of those that `...` stands for.
    Rest(usize),
}

/// A side of a pattern: what each axis of a tensor is made of. One that is made of nothing has extent 1.
type Side<'a> = Vec<Vec<Axis<'a>>>;

/// The three views of a pattern.
struct Views {
    split: Vec<Dim>,
    order: Vec<usize>,
    joined: Vec<Dim>,
}

impl Tensor {
    /// The elements with axes split, moved and joined as a pattern of einops says: `x.rearrange("b (h p) c -> (b h) p c", &[("p", 4)])`.
    ///
    /// Parentheses are a product of axes, row-major; `1` and `()` are an axis of extent 1; `...` is any further axes. Of a product on the left all extents but
    /// one must be given. Any dtype. K0105: a pattern that is malformed, has other names on its right, or does not fit the tensor; K0109: a batch axis that would
    /// not stay in front. Gradient: the pattern backwards.
    #[track_caller]
    pub fn rearrange(self, pattern: &str, extents: &[(&str, usize)]) -> Tensor {
        if self.value().is_none() {
            return self;
        }
        match views(pattern, &self.shape().0, extents) {
            Ok(Views { split, order, joined }) => {
                let parts = self.through(ops::Reshape { shape: split });
                parts.through(ops::Permute { dims: order }).through(ops::Reshape { shape: joined })
            }
            Err(requirement) => {
                let message = format!("rearrange needs {requirement}: found `{pattern}` for {}", self.ty());
                Tensor::mistake(Diagnostic::new(Code::BadArgument, message))
            }
        }
    }

    #[track_caller]
    fn through(self, view: impl Into<Op>) -> Tensor {
        Tensor::apply_as("rearrange", view, &[self])
    }
}

/// What a pattern makes of a shape; otherwise what it would need.
fn views(pattern: &str, dims: &[Dim], extents: &[(&str, usize)]) -> Result<Views, &'static str> {
    let spaced = pattern.replace('(', " ( ").replace(')', " ) ");
    let (left, right) = spaced.split_once("->").ok_or("a pattern with `->`")?;
    let named = side(left, 0)?.len();
    let rest = if left.contains("...") { dims.len().saturating_sub(named) } else { 0 };
    let (left, right) = (side(left, rest)?, side(right, rest)?);
    if left.len() != dims.len() {
        return Err("an item on the left for each axis");
    }
    let (from, to) = (left.concat(), right.concat());
    let distinct = from.iter().enumerate().all(|(at, axis)| !from[..at].contains(axis));
    if !distinct || from.len() != to.len() || !from.iter().all(|axis| to.contains(axis)) {
        return Err("the same names on both sides, each once");
    }
    if !extents.iter().all(|(name, _)| from.contains(&Axis::Named(name))) {
        return Err("extents of names in the pattern");
    }
    let mut split = Vec::with_capacity(from.len());
    for (group, dim) in left.iter().zip(dims) {
        split.extend(parts(group, *dim, extents)?);
    }
    let order: Vec<usize> = to.iter().filter_map(|axis| from.iter().position(|held| held == axis)).collect();
    let mut moved = order.iter().map(|&at| split[at]);
    let joined = right.iter().map(|group| Shape(moved.by_ref().take(group.len()).collect()).count()).collect();
    Ok(Views { split, order, joined })
}

/// Reads a side whose words are apart; `...` stands for `rest` axes.
fn side(text: &str, rest: usize) -> Result<Side<'_>, &'static str> {
    let mut groups = Side::new();
    let mut open: Option<Vec<Axis<'_>>> = None;
    for word in text.split_whitespace() {
        let axes: Vec<Axis<'_>> = match word {
            "(" if open.is_none() => {
                open = Some(Vec::new());
                continue;
            }
            ")" => {
                groups.push(open.take().ok_or("parentheses in pairs")?);
                continue;
            }
            "..." => (0..rest).map(Axis::Rest).collect(),
            "1" => {
                if open.is_none() {
                    groups.push(Vec::new());
                }
                continue;
            }
            name if name.starts_with(char::is_alphabetic) && name.chars().all(|c| c.is_alphanumeric() || c == '_') => {
                vec![Axis::Named(name)]
            }
            _ => return Err("names, `1`, `...` and parentheses that are not nested"),
        };
        match &mut open {
            Some(group) => group.extend(axes),
            None => groups.extend(axes.into_iter().map(|axis| vec![axis])),
        }
    }
    if open.is_some() { Err("parentheses in pairs") } else { Ok(groups) }
}

/// The extents of the axes that make up an axis.
fn parts(group: &[Axis<'_>], dim: Dim, extents: &[(&str, usize)]) -> Result<Vec<Dim>, &'static str> {
    let given =
        |axis: &Axis<'_>| extents.iter().find(|(name, _)| *axis == Axis::Named(name)).map(|(_, extent)| *extent);
    let product: usize = group.iter().filter_map(given).product();
    let unknown = group.iter().filter(|axis| given(axis).is_none()).count();
    let fits = match unknown {
        0 => dim == Dim::fixed(product),
        1 => product > 0 && dim.factor.is_multiple_of(product),
        _ => return Err("the extents of all names of a product but one"),
    };
    if !fits {
        return Err("products that are the axes of the tensor");
    }
    let left = Dim { factor: dim.factor / product.max(1), batch: dim.batch };
    Ok(group.iter().map(|axis| given(axis).map_or(left, Dim::fixed)).collect())
}
