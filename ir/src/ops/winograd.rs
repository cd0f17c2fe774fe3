//! Winograd's short convolutions: the transforms between images and the domain in which a convolution is a product of channels.
//!
//! `F(m, r)` computes `m` outputs of a convolution with `r` taps from `m + r - 1` products. Over images both axes are transformed, and with
//! channels last in the domain a convolution is three steps:
//!
//! ```text
//! %d = to_winograd %x {side = "data", ..}        : f32[B, 36, U, V, c]      U·V tiles
//! %g = to_winograd %w {side = "kernel", ..}      : f32[36, o, c]
//! %m = einsum %d, %g {"npuvc,poc->npuvo"}        : f32[B, 36, U, V, o]
//! %y = from_winograd %m {side = "data", ..}      : f32[B, o, U·m, V·m]
//! ```
//!
//! Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015); points as in Barabasz et al., "Error Analysis and Improving the Accuracy of
//! Winograd Convolution for Deep Neural Networks" (2020).

use super::checks;
use super::contract::Einsum;
use super::leaf::Constant;
use super::straight_line::{Matrix, Places, straight_line};
use super::windows::FoldWindows;
use crate::op::{Example, Operator, op};
use crate::{AxisId, Body, DType, Diagnostic, Dim, Index, Number, Shape, Type, ValueId, Vjp, load};

/// The matrices of one algorithm. With taps `g` and data `d`, the outputs are `output · [(kernel · g) ⊙ (data · d)]`.
struct Algorithm {
    data: &'static [&'static [f64]],
    kernel: &'static [&'static [f64]],
    output: &'static [&'static [f64]],
}

/// `F(2, 3)`: the points 0, 1, -1 and infinity.
const TWO_OUTPUTS: Algorithm = Algorithm {
    data: &[&[1., 0., -1., 0.], &[0., 1., 1., 0.], &[0., -1., 1., 0.], &[0., 1., 0., -1.]],
    kernel: &[&[1., 0., 0.], &[0.5, 0.5, 0.5], &[0.5, -0.5, 0.5], &[0., 0., 1.]],
    output: &[&[1., 1., 1., 0.], &[0., 1., -1., -1.]],
};

/// `F(4, 3)`: the points 0, a, -a, b, -b and infinity. Those of the usual choice, 1 and 2, lose twice the bits: the matrices of these have no entry above 3.4.
/// Both are dyadic, so that only `kernel` is rounded.
const FOUR_OUTPUTS: Algorithm = Algorithm {
    data: &[
        &[A * A * B * B, 0., -A * A - B * B, 0., 1., 0.],
        &[0., -A * B * B, -B * B, A, 1., 0.],
        &[0., A * B * B, -B * B, -A, 1., 0.],
        &[0., -B * A * A, -A * A, B, 1., 0.],
        &[0., B * A * A, -A * A, -B, 1., 0.],
        &[0., A * A * B * B, 0., -A * A - B * B, 0., 1.],
    ],
    kernel: &[
        &[1. / (A * A * B * B), 0., 0.],
        &[1. / AT_A, A / AT_A, A * A / AT_A],
        &[1. / AT_A, -A / AT_A, A * A / AT_A],
        &[1. / AT_B, B / AT_B, B * B / AT_B],
        &[1. / AT_B, -B / AT_B, B * B / AT_B],
        &[0., 0., 1.],
    ],
    output: &[
        &[1., 1., 1., 1., 1., 0.],
        &[0., A, -A, B, -B, 0.],
        &[0., A * A, A * A, B * B, B * B, 0.],
        &[0., A * A * A, -A * A * A, B * B * B, -B * B * B, 1.],
    ],
};

const A: f64 = 0.625;
const B: f64 = 1.5;
/// The product of the differences of a point to the others.
const AT_A: f64 = 2. * A * A * (A * A - B * B);
const AT_B: f64 = 2. * B * B * (B * B - A * A);

/// The taps of all algorithms here, on each axis.
pub const WINOGRAD_TAPS: usize = 3;

fn algorithm(op: &str, outputs: usize) -> Result<&'static Algorithm, Diagnostic> {
    match outputs {
        2 => Ok(&TWO_OUTPUTS),
        4 => Ok(&FOUR_OUTPUTS),
        _ => Err(checks::argument(op, &format!("tiles of 2 or 4 outputs, found {outputs}"))),
    }
}

fn rows(matrix: &[&[f64]]) -> Matrix {
    matrix.iter().map(|row| row.to_vec()).collect()
}

fn transposed(matrix: &[&[f64]]) -> Matrix {
    (0..matrix[0].len()).map(|column| matrix.iter().map(|row| row[column]).collect()).collect()
}

op! {
    /// Tiles of each image in Winograd's domain, channels last: `result[n, p·P + q, u, v, c] = Σ M[p, i]·M[q, j]·x[n, c, u·step + i, v·step + j]`. `M`
    /// is the matrix for `data` (tiles overlap) or the `cotangent` of the outputs. A `kernel` is one tile: `result[p·P + q, a, b] = Σ M[p, i]·M[q, j]·x[a, b, i, j]`.
    /// Gradient: the transpose, by `einsum` and `fold_windows`.
    ToWinograd(x) {
        /// Outputs of a tile on each axis: 2 or 4, with 3 taps.
        outputs: usize,
        /// `data`, `kernel` or `cotangent`.
        side: String,
    }
}

impl ToWinograd {
    const TEXT: &str = "to_winograd";

    /// The matrix, and the distance between tiles.
    fn matrix(&self) -> Result<(Matrix, usize), Diagnostic> {
        let algorithm = algorithm(Self::TEXT, self.outputs)?;
        match self.side.as_str() {
            "data" => Ok((rows(algorithm.data), self.outputs)),
            "kernel" => Ok((rows(algorithm.kernel), WINOGRAD_TAPS)),
            "cotangent" => Ok((transposed(algorithm.output), self.outputs)),
            side => Err(checks::argument(Self::TEXT, &format!("a side data, kernel or cotangent, found {side}"))),
        }
    }

    fn valid_matrix(&self) -> (Matrix, usize) {
        self.matrix().expect("infer has checked the side")
    }
}

impl Operator for ToWinograd {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        let x = &operands[0];
        checks::float(Self::TEXT, x)?;
        checks::rank(Self::TEXT, "x", x, 4)?;
        let (matrix, step) = self.matrix()?;
        let mut tiles = Vec::new();
        for axis in [2, 3] {
            let extent = checks::fixed(Self::TEXT, x, axis)?;
            let room = extent.checked_sub(matrix[0].len()).filter(|room| room.is_multiple_of(step));
            let room = room.ok_or_else(|| {
                let needed = format!("{} positions and a multiple of {step} more, found {extent}", matrix[0].len());
                checks::argument(Self::TEXT, &needed)
            })?;
            tiles.push(Dim::fixed(room / step + 1));
        }
        let points = Dim::fixed(matrix.len() * matrix.len());
        if self.side == "kernel" {
            checks::extent(Self::TEXT, "as many taps as the algorithm has", x.dim(2), Dim::fixed(step))?;
            checks::extent(Self::TEXT, "as many taps as the algorithm has", x.dim(3), Dim::fixed(step))?;
            return Ok(x.with_shape([points, x.dim(0), x.dim(1)]));
        }
        Ok(x.with_shape([x.dim(0), points, tiles[0], tiles[1], x.dim(1)]))
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        let (matrix, step) = self.valid_matrix();
        let axis = |id| Index::axis(AxisId(id));
        let points = matrix.len() as i64;
        let place = |p, q| vec![Index::constant(p * points + q)];
        let places = |axis| Places { axes: vec![axis], steps: Vec::new(), place: &place };
        if self.side == "kernel" {
            let inside = |at: usize| Index::constant(at as i64);
            let element = |i: usize, j: usize| load(0, vec![axis(1), axis(2), inside(i), inside(j)], None);
            return straight_line(&matrix, operands[0].dtype, places(0), result, &element);
        }
        let element = |i: usize, j: usize| {
            let place = |id, inside: usize| axis(id).times(step as i64).shifted(inside as i64);
            load(0, vec![axis(0), axis(4), place(2, i), place(3, j)], None)
        };
        straight_line(&matrix, operands[0].dtype, places(1), result, &element)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let (matrix, step) = self.valid_matrix();
        let (points, size) = (matrix.len(), matrix[0].len());
        let (g, extent) = (cx.cotangent(), cx.operand_shape(0));
        let m = constant(cx, &matrix, g);
        let [n, _, u, v, c] = *cx.ty(g).shape.0.as_slice() else {
            let square = cx.reshape(g, &Shape(vec![points.into(), points.into(), extent.0[0], extent.0[1]]));
            let columns = cx.emit(Einsum::new("pqab,pi->qabi"), &[square, m]);
            return vec![Some(cx.emit(Einsum::new("qabi,qj->abij"), &[columns, m]))];
        };
        let square = cx.reshape(g, &Shape(vec![n, points.into(), points.into(), u, v, c]));
        let columns = cx.emit(Einsum::new("npquvc,pi->nquvci"), &[square, m]);
        let tiles = cx.emit(Einsum::new("nquvci,qj->ncuvij"), &[columns, m]);
        let extent = extent.0[2..].iter().map(|dim| dim.factor).collect();
        let fold =
            FoldWindows { axes: vec![2, 3], size: vec![size; 2], step: vec![step; 2], dilation: vec![1; 2], extent };
        vec![Some(cx.emit(fold, &[tiles]))]
    }

    fn examples() -> Vec<Example> {
        let to = |outputs, side: &str| ToWinograd { outputs, side: side.to_owned() };
        let images = |height: usize, width: usize| {
            Type::new(DType::F32, [Dim::BATCH, 2.into(), Dim::fixed(height), Dim::fixed(width)])
        };
        let weight = Type::new(DType::F32, [3, 2, 3, 3]);
        vec![
            Example::new(to(2, "data"), [images(6, 4)]),
            Example::new(to(4, "data"), [images(6, 10)]),
            Example::new(to(2, "kernel"), [weight.clone()]),
            Example::new(to(4, "kernel"), [weight]),
            Example::new(to(2, "cotangent"), [images(4, 2)]),
            Example::new(to(4, "cotangent"), [images(4, 8)]),
        ]
    }
}

op! {
    /// Images from tiles in Winograd's domain: `result[n, c, u·m + i, v·m + j] = Σ M[i, p]·M[j, q]·x[n, p·P + q, u, v, c]`. `M` is the matrix for the outputs
    /// (`data`). The gradient of a `kernel` is one tile: `result[a, b, i, j] = Σ M[i, p]·M[j, q]·x[p·P + q, a, b]`. Gradient: the transpose, by `einsum`.
    FromWinograd(x) {
        /// Outputs of a tile on each axis: 2 or 4, with 3 taps.
        outputs: usize,
        /// `data` or `kernel`.
        side: String,
    }
}

impl FromWinograd {
    const TEXT: &str = "from_winograd";

    fn matrix(&self) -> Result<Matrix, Diagnostic> {
        let algorithm = algorithm(Self::TEXT, self.outputs)?;
        match self.side.as_str() {
            "data" => Ok(rows(algorithm.output)),
            "kernel" => Ok(transposed(algorithm.kernel)),
            side => Err(checks::argument(Self::TEXT, &format!("a side data or kernel, found {side}"))),
        }
    }

    fn valid_matrix(&self) -> Matrix {
        self.matrix().expect("infer has checked the side")
    }
}

impl Operator for FromWinograd {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        let x = &operands[0];
        checks::float(Self::TEXT, x)?;
        let matrix = self.matrix()?;
        let (size, points) = (Dim::fixed(matrix.len()), Dim::fixed(matrix[0].len().pow(2)));
        if self.side == "kernel" {
            checks::rank(Self::TEXT, "x", x, 3)?;
            checks::extent(Self::TEXT, "the points of a tile", x.dim(0), points)?;
            return Ok(x.with_shape([x.dim(1), x.dim(2), size, size]));
        }
        checks::rank(Self::TEXT, "x", x, 5)?;
        checks::extent(Self::TEXT, "the points of a tile", x.dim(1), points)?;
        let [height, width] = [2, 3].map(|axis| checks::fixed(Self::TEXT, x, axis));
        let whole = |tiles: usize| Dim::fixed(tiles * matrix.len());
        Ok(x.with_shape([x.dim(0), x.dim(4), whole(height?), whole(width?)]))
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        let matrix = self.valid_matrix();
        let points = matrix[0].len();
        let axis = |id| Index::axis(AxisId(id));
        let point = |p: usize, q: usize| Index::constant((p * points + q) as i64);
        if self.side == "kernel" {
            let element = |p: usize, q: usize| load(0, vec![point(p, q), axis(0), axis(1)], None);
            let place = |i, j| vec![Index::constant(i), Index::constant(j)];
            let places = Places { axes: vec![2, 3], steps: Vec::new(), place: &place };
            return straight_line(&matrix, operands[0].dtype, places, result, &element);
        }
        let element = |p: usize, q: usize| {
            let point = point(p, q);
            load(0, vec![axis(0), point, axis(4), axis(5), axis(1)], None)
        };
        let (step, steps) = (matrix.len() as i64, vec![operands[0].dim(2), operands[0].dim(3)]);
        let place = |i: i64, j: i64| vec![axis(4).times(step).shifted(i), axis(5).times(step).shifted(j)];
        straight_line(&matrix, operands[0].dtype, Places { axes: vec![2, 3], steps, place: &place }, result, &element)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let matrix = self.valid_matrix();
        let (g, shape) = (cx.cotangent(), cx.operand_shape(0));
        let (m, size) = (constant(cx, &matrix, g), Dim::fixed(matrix.len()));
        if self.side == "kernel" {
            let rows = cx.emit(Einsum::new("abij,ip->abjp"), &[g, m]);
            let square = cx.emit(Einsum::new("abjp,jq->pqab"), &[rows, m]);
            return vec![Some(cx.reshape(square, &shape))];
        }
        let [n, _, u, v, c] = *shape.0.as_slice() else { unreachable!("it has five axes") };
        let tiles = cx.reshape(g, &Shape(vec![n, c, u, size, v, size]));
        let rows = cx.emit(Einsum::new("ncuivj,ip->ncuvjp"), &[tiles, m]);
        let square = cx.emit(Einsum::new("ncuvjp,jq->npquvc"), &[rows, m]);
        vec![Some(cx.reshape(square, &shape))]
    }

    fn examples() -> Vec<Example> {
        let from = |outputs, side: &str| FromWinograd { outputs, side: side.to_owned() };
        let points = |n: Dim, points: usize, u: usize, v: usize| {
            Type::new(DType::F32, [n, Dim::fixed(points), Dim::fixed(u), Dim::fixed(v), 2.into()])
        };
        vec![
            Example::new(from(2, "data"), [points(Dim::BATCH, 16, 2, 1)]),
            Example::new(from(4, "data"), [points(Dim::BATCH, 36, 1, 2)]),
            Example::new(from(2, "kernel"), [Type::new(DType::F32, [16, 3, 2])]),
            Example::new(from(4, "kernel"), [Type::new(DType::F32, [36, 3, 2])]),
        ]
    }
}

/// A matrix as a value of another's dtype.
fn constant(cx: &mut Vjp<'_>, matrix: &Matrix, like: ValueId) -> ValueId {
    let dtype = cx.ty(like).dtype;
    let shape = vec![Dim::fixed(matrix.len()), Dim::fixed(matrix[0].len())];
    let data = matrix.iter().flatten().map(|&number| Number::new(number)).collect();
    cx.emit(Constant { dtype, shape, data }, &[])
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, FOUR_OUTPUTS, TWO_OUTPUTS, WINOGRAD_TAPS};

    #[test]
    fn each_algorithm_is_a_convolution() {
        for Algorithm { data, kernel, output } in [TWO_OUTPUTS, FOUR_OUTPUTS] {
            let product = |matrix: &[&[f64]], x: &[f64]| -> Vec<f64> {
                matrix.iter().map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
            };
            let d: Vec<f64> = (0..data.len()).map(|at| (at as f64 * 1.7).sin() * 8.0).collect();
            let g = [0.75, -2.5, 1.25];
            let points: Vec<f64> = product(data, &d).iter().zip(product(kernel, &g)).map(|(a, b)| a * b).collect();
            for (at, found) in product(output, &points).into_iter().enumerate() {
                let expected: f64 = (0..WINOGRAD_TAPS).map(|tap| g[tap] * d[at + tap]).sum();
                assert!((found - expected).abs() < 1e-12, "output {at} of {}: {found}, not {expected}", output.len());
            }
        }
    }
}
