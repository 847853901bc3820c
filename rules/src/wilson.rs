//! The Wilson score interval of a share: how sure a ratio of few records is.
//!
//! Pure numbers. Refuses to know: rules, windows.

/// The z of a two-sided confidence level (0.95: 1.96), by Newton's method on the normal distribution.
pub(crate) fn z_of(confidence: f64) -> f64 {
    let target = confidence.clamp(0.0, 1.0 - 1e-12) / 2.0;
    let mut z = 0.0_f64;
    for _ in 0..200 {
        let step = (target - half(z)) / density(z);
        // Newton overshoots in the tails: never more than one at a time.
        z += step.clamp(-1.0, 1.0);
        if step.abs() < 1e-15 {
            break;
        }
    }
    z
}

fn density(z: f64) -> f64 {
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// Probability between 0 and z: density(z) * (z + z^3/3 + z^5/15 + ...).
fn half(z: f64) -> f64 {
    let (mut term, mut sum, mut n) = (z, z, 1.0);
    while term.abs() > 1e-18 * sum.abs() && n < 2_000.0 {
        n += 2.0;
        term *= z * z / n;
        sum += term;
    }
    density(z) * sum
}

/// Lower and upper end of the interval of `part` of `total` (at least 1).
pub(crate) fn interval(part: u64, total: u64, z: f64) -> (f64, f64) {
    let n = total as f64;
    let p = part as f64 / n;
    let zz = z * z;
    let middle = p + zz / (2.0 * n);
    let reach = z * (p * (1.0 - p) / n + zz / (4.0 * n * n)).sqrt();
    let ends = |end: f64| (end / (1.0 + zz / n)).clamp(0.0, 1.0);
    // None and all are ends themselves; rounding must not move them.
    let lower = if part == 0 { 0.0 } else { ends(middle - reach) };
    let upper = if part == total { 1.0 } else { ends(middle + reach) };
    (lower, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn z_as_in_tables() {
        for (confidence, z) in [
            (0.5, 0.674_489_750_196_081_7),
            (0.9, 1.644_853_626_951_472_2),
            (0.95, 1.959_963_984_540_054),
            (0.99, 2.575_829_303_548_900_4),
            (0.999, 3.290_526_731_491_925_6),
        ] {
            assert!((z_of(confidence) - z).abs() < 1e-12, "{confidence}: {}", z_of(confidence));
        }
    }

    #[test]
    fn intervals_as_in_the_literature() {
        let (lower, upper) = interval(81, 263, z_of(0.95));
        assert!(
            (lower - 0.255_3).abs() < 5e-5 && (upper - 0.366_2).abs() < 5e-5,
            "Newcombe 1998: {lower} {upper}"
        );
        let (lower, upper) = interval(0, 20, z_of(0.95));
        assert!(lower == 0.0 && (upper - 0.161_1).abs() < 5e-5, "{lower} {upper}");
        assert_eq!(interval(7, 7, 1.96).1, 1.0);
    }
}
