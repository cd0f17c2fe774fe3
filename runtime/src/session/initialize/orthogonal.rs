//! Matrices with orthogonal rows or columns: the factor `Q` of a normal matrix, whose distribution is uniform (Mezzadri, 2007).

/// A matrix `[rows, columns]`, row-major. The fewer of its rows and columns are orthogonal and have the norm `gain`.
pub(super) fn orthogonal(rows: usize, columns: usize, gain: f64, mut normal: impl FnMut() -> f64) -> Vec<f64> {
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    for _ in 0..count {
        let mut vector: Vec<f64> = (0..length).map(|_| normal()).collect();
        // Once more, because the first pass leaves what rounding has lost. The diagonal of `R` is then positive, as the uniform distribution wants it.
        for _ in 0..2 {
            for earlier in &vectors {
                let share = dot(earlier, &vector);
                vector.iter_mut().zip(earlier).for_each(|(x, e)| *x -= share * e);
            }
        }
        let norm = dot(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|x| *x /= norm);
        vectors.push(vector);
    }
    let at = |row: usize, column: usize| if rows <= columns { vectors[row][column] } else { vectors[column][row] };
    (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))).map(|(r, c)| gain * at(r, c)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
