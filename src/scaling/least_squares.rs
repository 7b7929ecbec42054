//! The coefficients of a sum that come nearest to what was seen: weighted least squares, none of them negative.
//!
//! Three coefficients at most, so a law names which of them may be other than zero together (its *supports*), and
//! each of these is solved for.

/// One point, as a sum of coefficients.
pub(super) struct Row {
    pub(super) columns: [f64; 3],
    pub(super) seen: f64,
    /// What a difference is divided by.
    pub(super) scale: f64,
}

/// Returns the coefficients, none negative, with the least sum of squares.
pub(super) fn best(rows: &[Row], supports: &[&[usize]]) -> Option<[f64; 3]> {
    let squares = |found: &[f64; 3]| -> f64 {
        let off = |row: &Row| {
            let sum: f64 = row.columns.iter().zip(found).map(|(x, c)| x * c).sum();
            ((row.seen - sum) / row.scale).powi(2)
        };
        rows.iter().map(off).sum()
    };
    let allowed = |support: &&[usize]| {
        solve(rows, support).filter(|found| found.iter().all(|coefficient| *coefficient >= 0.0))
    };
    // Nothing is below the minimum without bounds, if that lies within them; mostly it does.
    let (all, bounded) = supports.split_first()?;
    allowed(all).or_else(|| {
        bounded
            .iter()
            .filter_map(allowed)
            .map(|found| (squares(&found), found))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, found)| found)
    })
}

/// Solves the normal equations of these coefficients, by elimination.
fn solve(rows: &[Row], support: &[usize]) -> Option<[f64; 3]> {
    let size = support.len();
    let mut matrix = [[0.0_f64; 4]; 3];
    for row in rows {
        let weight = 1.0 / (row.scale * row.scale);
        for (sums, &column) in matrix.iter_mut().zip(support) {
            let weighted = row.columns[column] * weight;
            for (sum, &other) in sums.iter_mut().zip(support) {
                *sum += weighted * row.columns[other];
            }
            sums[3] += weighted * row.seen;
        }
    }
    // Columns of one length: they are of very different ones, with many ranks.
    let mut lengths = [0.0_f64; 3];
    for at in 0..size {
        lengths[at] = matrix[at][at].sqrt();
        if !(lengths[at].is_finite() && lengths[at] > 0.0) {
            return None;
        }
    }
    for (sums, length) in matrix.iter_mut().zip(lengths).take(size) {
        for (sum, other) in sums.iter_mut().zip(lengths).take(size) {
            *sum /= length * other;
        }
        sums[3] /= length;
    }
    for at in 0..size {
        let pivot =
            (at..size).max_by(|&a, &b| matrix[a][at].abs().total_cmp(&matrix[b][at].abs()))?;
        matrix.swap(at, pivot);
        // Columns that are all but the same determine nothing.
        if matrix[at][at].abs() < 1e-12 {
            return None;
        }
        let upper = matrix[at];
        for lower in matrix.iter_mut().take(size).skip(at + 1) {
            let factor = lower[at] / upper[at];
            for (cell, above) in lower.iter_mut().zip(upper) {
                *cell -= factor * above;
            }
        }
    }
    let mut found = [0.0; 3];
    for at in (0..size).rev() {
        let known: f64 = (at + 1..size).map(|j| matrix[at][j] * found[j]).sum();
        found[at] = (matrix[at][3] - known) / matrix[at][at];
    }
    let mut coefficients = [0.0; 3];
    for (at, &column) in support.iter().enumerate() {
        coefficients[column] = found[at] / lengths[at];
    }
    Some(coefficients)
}
