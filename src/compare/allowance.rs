//! How much slower is let pass: `3%` or `0.03`.

use std::str::FromStr;

use crate::error::{Error, Explained};
use crate::scaling::ALLOWANCE;

/// A share, from 0 to below 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Allowance(f64);

impl Allowance {
    pub(crate) fn share(self) -> f64 {
        self.0
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self(ALLOWANCE)
    }
}

impl FromStr for Allowance {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (number, unit) = match text.trim().strip_suffix('%') {
            Some(number) => (number.trim_end(), 100.0),
            None => (text.trim(), 1.0),
        };
        let number: Option<f64> = number.parse().ok();
        match number.map(|number| number / unit) {
            Some(share) if (0.0..1.0).contains(&share) => Ok(Self(share)),
            // Three times as slow is not what is meant.
            Some(share) if unit == 1.0 && (1.0..100.0).contains(&share) => Err(Error::rejected(
                Explained::new(format!("`{text}` is no share below 1"))
                    .hint(format!("did you mean `{text}%`?")),
            )),
            _ => Err(Error::rejected(
                Explained::new(format!("`{text}` is no share")).hint("such as 3% or 0.03"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_with_and_without_percent() {
        for (text, share) in [("3%", 0.03), ("0.03", 0.03), ("0", 0.0), (" 12.5 % ", 0.125)] {
            assert_eq!(text.parse::<Allowance>().unwrap(), Allowance(share), "{text}");
        }
    }

    #[test]
    fn what_is_no_share_is_refused_with_what_was_meant() {
        for text in ["", "%", "x", "-1%", "nan", "inf", "100%", "1e9"] {
            assert_eq!(text.parse::<Allowance>().unwrap_err().hint(), Some("such as 3% or 0.03"));
        }
        let error = "3".parse::<Allowance>().unwrap_err();
        assert_eq!(error.hint(), Some("did you mean `3%`?"));
    }
}
