//! How measured figures are written for people; pure.

/// Writes seconds with a fitting unit and three digits.
pub(crate) fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 1e-6 => (s * 1e9, "ns"),
        s if s < 1e-3 => (s * 1e6, "us"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

/// Writes a rate with a decimal prefix, ready for its unit.
pub(crate) fn scaled(rate: f64) -> String {
    let (value, prefix) = match rate {
        r if r < 1e3 => (r, ""),
        r if r < 1e6 => (r / 1e3, "k"),
        r if r < 1e9 => (r / 1e6, "M"),
        r => (r / 1e9, "G"),
    };
    format!("{value:.2} {prefix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_rates_a_prefix() {
        assert_eq!(time(0.001_234), "1.23 ms");
        assert_eq!(time(12.34e-6), "12.3 us");
        assert_eq!(time(345e-9), "345 ns");
        assert_eq!(scaled(1.5e9), "1.50 G");
    }
}
