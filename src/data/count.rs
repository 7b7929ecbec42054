//! Counts as people type them: `1_000_000`, `1e6`, `4Mi`.

use crate::data::number::{Decimal, NotInteger};
use crate::error::{Error, Explained};

const GRAMMAR: &str = "a count is digits such as 1_000_000, 1e6 or 2.5e3, \
    with K, M, G, T (thousands) or Ki, Mi, Gi, Ti (1024s)";

/// Reads a count: a whole number from 0 to 2^64 - 1.
pub(crate) fn parse_count(text: &str) -> Result<u64, Error> {
    let value = parse_integer(text)?;
    u64::try_from(value).map_err(|_| {
        let limit = if value < 0 { "is negative" } else { "is more than 18446744073709551615" };
        Error::rejected(format!("count `{}` {limit}", text.escape_debug()))
    })
}

/// Reads a whole number in the grammar of counts, with an optional sign.
pub(crate) fn parse_integer(text: &str) -> Result<i128, Error> {
    let wrong = |what: &str| {
        let shown = text.escape_debug();
        Error::rejected(Explained::new(format!("count `{shown}` {what}")).hint(GRAMMAR))
    };
    let (number, suffix) =
        Decimal::read(text.as_bytes()).ok_or_else(|| wrong("is not a number"))?;
    let factor = match suffix {
        b"" => 1,
        b"K" | b"k" => 1_000,
        b"M" => 1_000_000,
        b"G" => 1_000_000_000,
        b"T" => 1_000_000_000_000,
        b"Ki" => 1 << 10,
        b"Mi" => 1 << 20,
        b"Gi" => 1 << 30,
        b"Ti" => 1 << 40,
        _ => {
            let shown = String::from_utf8_lossy(suffix);
            return Err(wrong(&format!("ends in `{}`", shown.escape_debug())));
        }
    };
    number.integer_times(factor).map_err(|why| match why {
        NotInteger::Fraction => wrong("is not a whole number"),
        NotInteger::TooLarge => wrong("is too large"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_way_to_write_a_count() {
        for (text, value) in [
            ("0", 0),
            ("1_000_000", 1_000_000),
            ("1e6", 1_000_000),
            ("2.5e3", 2_500),
            ("4K", 4_000),
            ("4M", 4_000_000),
            ("4G", 4_000_000_000),
            ("4Ki", 4_096),
            ("1.5Ki", 1_536),
            ("4Mi", 4 << 20),
            ("4Gi", 4 << 30),
            ("1Ti", 1 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_count(text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn refuses_everything_else_and_says_why() {
        for (text, message) in [
            ("", "count `` is not a number"),
            ("-1", "count `-1` is negative"),
            ("1.5", "count `1.5` is not a whole number"),
            (
                "18446744073709551616",
                "count `18446744073709551616` is more than 18446744073709551615",
            ),
            ("1e99", "count `1e99` is too large"),
            ("4kib", "count `4kib` ends in `kib`"),
            ("0x10", "count `0x10` ends in `x10`"),
            ("1 0", "count `1 0` ends in ` 0`"),
            ("٣", "count `٣` is not a number"),
            ("1٣", "count `1٣` ends in `٣`"),
            ("1\n", "count `1\\n` ends in `\\n`"),
            ("inf", "count `inf` is not a number"),
        ] {
            assert_eq!(parse_count(text).unwrap_err().to_string(), message);
        }
    }
}
