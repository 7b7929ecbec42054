//! Faults on purpose: what `--inject` asks for.
//!
//! `kill:rank=2,chunk=5` lets rank 2 kill itself in the middle of its first chunk from number 5 on. So
//! users can see for themselves what a death does to a run of their own kernel.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::data::text_in_files;
use crate::error::{Error, Explained, nearest};
use crate::shm::Point;

/// What happens to the rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Stop,
    /// A store to an address that is not mapped.
    Segv,
    /// `abort()`.
    Abort,
    /// A panic.
    Panic,
    /// It sleeps for ever.
    Hang,
    /// `exit(0)`.
    Exit,
}

impl Action {
    const NAMES: [(&'static str, Self); 7] = [
        ("kill", Self::Kill),
        ("stop", Self::Stop),
        ("segv", Self::Segv),
        ("abort", Self::Abort),
        ("panic", Self::Panic),
        ("hang", Self::Hang),
        ("exit", Self::Exit),
    ];
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMES.iter().find(|(_, action)| action == self);
        f.write_str(named.map_or("?", |(name, _)| name))
    }
}

impl FromStr for Action {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let names = Self::NAMES.map(|(name, _)| name);
        let named = Self::NAMES.iter().find(|(name, _)| *name == text);
        named.map(|&(_, action)| action).ok_or_else(|| {
            let hint = nearest(text, names).map_or_else(
                || format!("one of {}", names.join(" ")),
                |name| format!("did you mean `{name}`?"),
            );
            Error::rejected(Explained::new(format!("there is no fault `{text}`")).hint(hint))
        })
    }
}

/// A fault to strike: `ACTION[:KEY=VALUE,…]` with the keys `rank`, `chunk`, `point`, `nth`, `times`.
///
/// `chunk=C` alone means the chunk of that number, whichever rank runs it; with `rank=R` the first one
/// from that number on that rank R runs, because nobody can say beforehand which rank runs which. `point`
/// is a moment between two stores of a protocol, `run.mid` if not given. `nth` passes over that many
/// moments, in each process anew. `times` is how often it strikes in all: once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Injection {
    pub(crate) action: Action,
    pub(crate) rank: Option<u32>,
    pub(crate) chunk: Option<u64>,
    pub(crate) point: Point,
    pub(crate) nth: u64,
    pub(crate) times: u8,
}

impl Injection {
    /// How many faults one run may have: their strikes are counted in the bytes of one word.
    pub(crate) const MOST: usize = 8;
}

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        let mut separator = ':';
        let mut key = |f: &mut fmt::Formatter<'_>, key: &str, value: &dyn fmt::Display| {
            write!(f, "{separator}{key}={value}")?;
            separator = ',';
            Ok(())
        };
        if let Some(rank) = self.rank {
            key(f, "rank", &rank)?;
        }
        if let Some(chunk) = self.chunk {
            key(f, "chunk", &chunk)?;
        }
        if self.point != Point::RunMid {
            key(f, "point", &self.point)?;
        }
        if self.nth != 0 {
            key(f, "nth", &self.nth)?;
        }
        if self.times != 1 {
            key(f, "times", &self.times)?;
        }
        Ok(())
    }
}

impl FromStr for Injection {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (action, keys) = text.split_once(':').unwrap_or((text, ""));
        let action = action.parse()?;
        let mut fault =
            Self { action, rank: None, chunk: None, point: Point::RunMid, nth: 0, times: 1 };
        for pair in keys.split(',').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "rank" => fault.rank = Some(number(pair, value)?),
                "chunk" => fault.chunk = Some(number(pair, value)?),
                "point" => fault.point = value.parse()?,
                "nth" => fault.nth = number(pair, value)?,
                "times" => fault.times = number(pair, value)?,
                _ => {
                    return Err(Error::rejected(
                        Explained::new(format!("a fault has no key `{key}`"))
                            .hint("kill:rank=2,chunk=5; keys: rank chunk point nth times"),
                    ));
                }
            }
        }
        Ok(fault)
    }
}

fn number<T: FromStr>(pair: &str, value: &str) -> Result<T, Error> {
    value.parse().map_err(|_| {
        Error::rejected(
            Explained::new(format!("`{pair}` of a fault is no number in its range"))
                .hint("kill:rank=2,chunk=5"),
        )
    })
}

text_in_files!(Injection);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_as_they_are_written() {
        for text in ["kill", "kill:rank=2,chunk=5", "segv:chunk=0,point=lock.tail,nth=3,times=9"] {
            assert_eq!(text.parse::<Injection>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_fault_is_refused_with_the_nearest_name() {
        for (text, wanted) in [
            ("kil", "did you mean `kill`?"),
            ("kill:point=run.mod", "did you mean `run.mid`?"),
            ("kill:rang=2", "rank chunk point"),
            ("kill:rank=-1", "rank=2"),
            ("kill:rank", "rank=2"),
            ("", "one of"),
        ] {
            let error = text.parse::<Injection>().unwrap_err();
            assert!(error.hint().unwrap().contains(wanted), "{text}: {error} {:?}", error.hint());
        }
    }
}
