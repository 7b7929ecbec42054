//! Numbers of ranks, as they are typed: `1,2,4,8`, `1..16`, `1,2,4-8`.

use std::str::FromStr;

use crate::error::{Error, Explained};
use crate::shm::MAX_PROCS;

/// More points than that are a mistake in typing: `1..4096` is 4096 of them.
const MOST: usize = 256;

/// Numbers of ranks, in rising order, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// 1, 2, 4 … as far as this machine goes.
    Auto,
    These(Vec<u32>),
}

impl Numbers {
    /// Returns the numbers themselves, for a machine that has room for so many ranks.
    pub(crate) fn up_to(&self, room: u32) -> Vec<u32> {
        match self {
            Self::These(numbers) => numbers.clone(),
            Self::Auto => {
                let mut numbers: Vec<u32> =
                    (0..32).map(|power| 1 << power).take_while(|number| *number < room).collect();
                numbers.push(room);
                numbers
            }
        }
    }
}

impl FromStr for Numbers {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.trim() == "auto" {
            return Ok(Self::Auto);
        }
        let wrong = |part: &str, why: &str| {
            let what = format!("`{part}` is no number of ranks, and no range of them{why}");
            Error::rejected(Explained::new(what).hint("--procs 1,2,4,8, --procs 1..16, or auto"))
        };
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse().ok().filter(|n: &u32| digits && (1..=MAX_PROCS).contains(n))
        };
        let mut numbers = Vec::new();
        for part in text.split(',').map(str::trim) {
            match part.split_once("..").or_else(|| part.split_once('-')) {
                None => {
                    let most = format!(": 1 to {MAX_PROCS}");
                    numbers.push(number(part).ok_or_else(|| wrong(part, &most))?);
                }
                Some((first, last)) => {
                    let ends = number(first.trim()).zip(number(last.trim()));
                    let (first, last) = ends
                        .filter(|(first, last)| first <= last)
                        .ok_or_else(|| wrong(part, ": both ends are in it, the smaller first"))?;
                    numbers.extend(first..=last);
                }
            }
            if numbers.len() > MOST {
                let what = format!("`{text}` is more than {MOST} numbers of ranks");
                return Err(Error::rejected(Explained::new(what).hint("--procs 1,2,4,8")));
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(Self::These(numbers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<u32> {
        text.parse::<Numbers>().unwrap().up_to(1)
    }

    #[test]
    fn lists_and_ranges_are_read_in_any_order_each_number_once() {
        assert_eq!(read("8,1,2,4"), [1, 2, 4, 8]);
        assert_eq!(read("1..4"), [1, 2, 3, 4]);
        assert_eq!(read("1-3, 2 ,8..9"), [1, 2, 3, 8, 9]);
    }

    #[test]
    fn auto_doubles_as_far_as_the_machine_goes_and_ends_there() {
        let auto: Numbers = "auto".parse().unwrap();
        assert_eq!(auto.up_to(1), [1]);
        assert_eq!(auto.up_to(2), [1, 2]);
        assert_eq!(auto.up_to(12), [1, 2, 4, 8, 12]);
    }

    #[test]
    fn what_is_no_number_of_ranks_is_refused() {
        for text in ["", "0", "1,,2", "4..1", "1..", "two", "+1", "1..4096", "99999999999"] {
            let error = text.parse::<Numbers>().unwrap_err();
            assert!(error.hint().is_some_and(|hint| hint.contains("--procs")), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,20}|[0-9,.-]{0,12}") {
            if let Ok(Numbers::These(numbers)) = text.parse::<Numbers>() {
                prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
                prop_assert!(!numbers.is_empty() && numbers.len() <= MOST);
            }
        }
    }
}
