//! The product of constant matrices with a small block of elements on both sides, as straight-line code without multiplications by 0 and 1.

use crate::{Block, Body, DType, Dim, Element, Expr, Index, LocalId, Type, Unary, accumulator};

/// Rows of numbers.
pub(super) type Matrix = Vec<Vec<f64>>;

/// Where the elements of a block go.
pub(super) struct Places<'p> {
    /// The axes of the result that they fill.
    pub axes: Vec<usize>,
    /// The extents of the steps.
    pub steps: Vec<Dim>,
    /// The place of the element in a row and a column.
    pub place: &'p dyn Fn(i64, i64) -> Vec<Index>,
}

/// `M · x · Mᵀ` for the square block of elements that `element` names, as straight-line code. Half types are computed in f32.
pub(super) fn straight_line(
    matrix: &Matrix,
    dtype: DType,
    places: Places<'_>,
    result: &Type,
    element: &dyn Fn(usize, usize) -> Expr,
) -> Body {
    let size = matrix[0].len();
    let wide = accumulator(dtype);
    let to = |target, x: Expr| if dtype == wide { x } else { Expr::cast(target, x) };
    let mut lines = Lines { lets: Vec::new(), dtype: wide };
    let block: Vec<Vec<Expr>> =
        (0..size).map(|i| (0..size).map(|j| lines.bind(to(wide, element(i, j)))).collect()).collect();
    let columns: Vec<Vec<Expr>> = (0..size)
        .map(|j| {
            let column: Vec<Expr> = block.iter().map(|row| row[j].clone()).collect();
            lines.product(matrix, &column).into_iter().map(|x| lines.bind(x)).collect()
        })
        .collect();
    let mut elements = Vec::new();
    for i in 0..matrix.len() {
        let row: Vec<Expr> = columns.iter().map(|column| column[i].clone()).collect();
        let values = lines.product(matrix, &row).into_iter().map(|x| to(result.dtype, x));
        elements.extend(values.zip(0..).map(|(value, j)| Element { place: (places.place)(i as i64, j), value }));
    }
    Body::block(Block { axes: places.axes, steps: places.steps, lets: lines.lets, elements })
}

/// Lines of straight-line code in the making.
struct Lines {
    lets: Vec<Expr>,
    dtype: DType,
}

impl Lines {
    fn bind(&mut self, value: Expr) -> Expr {
        self.lets.push(value);
        Expr::Local(LocalId(self.lets.len() as u32 - 1))
    }

    /// The product of a matrix and a vector. The rows and columns that belong to a point and its negative share what they can: of such rows
    /// the even and the odd columns, of such columns the sum and the difference.
    fn product(&mut self, matrix: &Matrix, x: &[Expr]) -> Vec<Expr> {
        let (mut matrix, mut x) = (matrix.clone(), x.to_vec());
        for at in 1..x.len() {
            let negated = |row: &Vec<f64>| row[at] == row[at - 1] || row[at] == -row[at - 1];
            let used = matrix.iter().filter(|row| row[at] != 0.0).count();
            if used > 1 && matrix.iter().all(negated) {
                let (sum, difference) = (x[at - 1].clone() + x[at].clone(), x[at - 1].clone() - x[at].clone());
                (x[at - 1], x[at]) = (self.bind(sum), self.bind(difference));
                for row in &mut matrix {
                    let (even, odd) = if row[at] == row[at - 1] { (row[at], 0.0) } else { (0.0, row[at - 1]) };
                    (row[at - 1], row[at]) = (even, odd);
                }
            }
        }
        let mut results: Vec<Expr> = Vec::new();
        while results.len() < matrix.len() {
            let row = &matrix[results.len()];
            let parts = matrix
                .get(results.len() + 1)
                .and_then(|next| Some((parity(row, next, 1.0)?, parity(row, next, -1.0)?)));
            match parts {
                Some((even, odd)) => {
                    let (even, odd) = (self.combination(&even, &x), self.combination(&odd, &x));
                    let (even, odd) = (self.bind(even), self.bind(odd));
                    results.extend([even.clone() + odd.clone(), even - odd]);
                }
                None => results.push(self.combination(row, &x)),
            }
        }
        results
    }

    /// `Σ coefficients · x`.
    fn combination(&self, coefficients: &[f64], x: &[Expr]) -> Expr {
        let number = |value: f64| Expr::number(value, self.dtype);
        let terms = coefficients.iter().zip(x).filter(|(coefficient, _)| **coefficient != 0.0);
        // What is subtracted comes last, so that nothing needs to be negated first.
        let (added, subtracted): (Vec<_>, Vec<_>) = terms.partition(|(coefficient, _)| **coefficient > 0.0);
        let sum = added.into_iter().chain(subtracted).fold(None, |sum: Option<Expr>, (&coefficient, x)| {
            let term = if coefficient.abs() == 1.0 { x.clone() } else { x.clone() * number(coefficient.abs()) };
            Some(match sum {
                None if coefficient < 0.0 => Expr::unary(Unary::Neg, term),
                None => term,
                Some(sum) if coefficient < 0.0 => sum - term,
                Some(sum) => sum + term,
            })
        });
        sum.unwrap_or_else(|| number(0.0))
    }
}

/// The part of two rows that is equal (`sign` 1) or opposite (-1), if every column is one or the other and both occur.
fn parity(row: &[f64], next: &[f64], sign: f64) -> Option<Vec<f64>> {
    let fits = row.iter().zip(next).all(|(a, b)| a.abs() == b.abs());
    let part: Vec<f64> = row.iter().zip(next).map(|(&a, &b)| if b == sign * a { a } else { 0.0 }).collect();
    (fits && part.iter().any(|&coefficient| coefficient != 0.0)).then_some(part)
}
