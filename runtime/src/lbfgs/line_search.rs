//! A step length that meets the strong Wolfe conditions (Nocedal and Wright, algorithms 3.5 and 3.6), as PyTorch finds it.

use super::{Evaluated, dot, largest};

/// Share of the predicted decrease that is enough.
const DECREASE: f64 = 1e-4;
/// Share of the slope that may be left.
const CURVATURE: f64 = 0.9;
/// Evaluations after the first.
const MAX_EVALUATIONS: usize = 25;
/// A trial nearer to an end of its interval than this share of it is no progress.
const MIN_PROGRESS: f64 = 0.1;

/// The function along the direction, at one length.
#[derive(Clone)]
struct Trial {
    length: f64,
    slope: f64,
    at: Evaluated,
}

/// The length and what was evaluated there. `start` is the function at length 0, where it has `slope`.
pub(super) fn strong_wolfe<E>(
    evaluate: &mut impl FnMut(f64) -> Result<Evaluated, E>,
    direction: &[f64],
    length: f64,
    start: &Evaluated,
    slope: f64,
    tolerance_change: f64,
) -> Result<(f64, Evaluated), E> {
    let mut try_at = |length: f64| -> Result<Trial, E> {
        let at = evaluate(length)?;
        Ok(Trial { length, slope: dot(&at.gradient, direction), at })
    };
    let falls_short = |trial: &Trial| trial.at.loss > start.loss + DECREASE * trial.length * slope;
    let is_flat = |trial: &Trial| trial.slope.abs() <= -CURVATURE * slope;

    let origin = Trial { length: 0.0, slope, at: start.clone() };
    let (mut previous, mut trial) = (origin.clone(), try_at(length)?);
    let mut evaluations = 0;
    // An interval that holds a good length.
    let mut bracket = loop {
        if evaluations == MAX_EVALUATIONS {
            break [origin, trial];
        }
        if falls_short(&trial) || (evaluations > 1 && trial.at.loss >= previous.at.loss) {
            break [previous, trial];
        }
        if is_flat(&trial) {
            return Ok((trial.length, trial.at));
        }
        if trial.slope >= 0.0 {
            break [previous, trial];
        }
        let bounds = (trial.length + 0.01 * (trial.length - previous.length), trial.length * 10.0);
        let next = cubic_minimum(&previous, &trial, bounds);
        previous = std::mem::replace(&mut trial, try_at(next)?);
        evaluations += 1;
    };

    let extent = largest(direction);
    let mut stalled = false;
    let mut low = usize::from(bracket[0].at.loss > bracket[1].at.loss);
    while evaluations < MAX_EVALUATIONS {
        let (least, most) = ordered(bracket[0].length, bracket[1].length);
        if (most - least) * extent < tolerance_change {
            break;
        }
        let mut length = cubic_minimum(&bracket[0], &bracket[1], (least, most));
        let margin = MIN_PROGRESS * (most - least);
        if (most - length).min(length - least) < margin {
            if stalled || length >= most || length <= least {
                let is_near_most = (length - most).abs() < (length - least).abs();
                length = if is_near_most { most - margin } else { least + margin };
                stalled = false;
            } else {
                stalled = true;
            }
        } else {
            stalled = false;
        }
        let trial = try_at(length)?;
        evaluations += 1;
        let high = 1 - low;
        if falls_short(&trial) || trial.at.loss >= bracket[low].at.loss {
            bracket[high] = trial;
            low = usize::from(bracket[0].at.loss > bracket[1].at.loss);
        } else {
            let is_done = is_flat(&trial);
            if !is_done && trial.slope * (bracket[high].length - bracket[low].length) >= 0.0 {
                bracket[high] = bracket[low].clone();
            }
            bracket[low] = trial;
            if is_done {
                break;
            }
        }
    }
    let [first, second] = bracket;
    let best = if low == 0 { first } else { second };
    Ok((best.length, best.at))
}

/// The minimum within `bounds` of the cubic that has the values and slopes of two trials.
fn cubic_minimum(a: &Trial, b: &Trial, (least, most): (f64, f64)) -> f64 {
    let (low, high) = if a.length <= b.length { (a, b) } else { (b, a) };
    let width = high.length - low.length;
    let d1 = a.slope + b.slope - 3.0 * (a.at.loss - b.at.loss) / (a.length - b.length);
    let square = d1 * d1 - a.slope * b.slope;
    if square < 0.0 {
        return f64::midpoint(least, most);
    }
    let d2 = square.sqrt();
    let minimum = high.length - width * ((high.slope + d2 - d1) / (high.slope - low.slope + 2.0 * d2));
    // PyTorch's `min(max(..))` gives the lower bound for NaN.
    minimum.max(least).min(most)
}

fn ordered(a: f64, b: f64) -> (f64, f64) {
    (a.min(b), a.max(b))
}
