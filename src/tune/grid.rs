//! Which schedules, chunks and worlds are tried.

use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

use crate::error::{Error, Explained};
use crate::schedule::{Schedule, ScheduleKind};
use crate::shm::MAX_PROCS;
use crate::trace::About;

/// More chunks than this are not played: it would take long, and no trace tells as much.
const MOST_CHUNKS: u64 = 1 << 18;
/// From one chunk to the next.
const STEP: u64 = 4;

/// Schedules, as a list is typed: `static,dynamic,64,dynamic,256,steal`. A number belongs to the name
/// before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedules(pub(crate) Vec<Schedule>);

impl FromStr for Schedules {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut names: Vec<String> = Vec::new();
        for part in text.split(',').map(str::trim) {
            match names.last_mut() {
                Some(last) if part.starts_with(|c: char| c.is_ascii_digit()) => {
                    last.push(',');
                    last.push_str(part);
                }
                _ => names.push(part.to_owned()),
            }
        }
        names.iter().map(|name| name.parse()).collect::<Result<_, _>>().map(Self)
    }
}

/// Numbers of ranks, as a list is typed: `1,2,4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Worlds(pub(crate) Vec<NonZeroU32>);

impl FromStr for Worlds {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let world = |part: &str| {
            let whole = part.bytes().all(|byte| byte.is_ascii_digit());
            let count = part.parse::<NonZeroU32>().ok();
            count.filter(|count| whole && count.get() <= MAX_PROCS).ok_or_else(|| {
                Error::rejected(
                    Explained::new(format!("`{part}` is no number of ranks"))
                        .hint(format!("1 to {MAX_PROCS}, separated by commas")),
                )
            })
        };
        text.split(',').map(|part| world(part.trim())).collect::<Result<_, _>>().map(Self)
    }
}

/// Returns the numbers of ranks to try: those asked for, or powers of two up to the machine's CPUs, with
/// those two that the trace names.
pub(super) fn worlds(asked: Option<&Worlds>, about: &About) -> Result<Vec<u32>, Error> {
    let most = about.cpus.max(about.procs);
    let mut worlds: Vec<u32> = match asked {
        Some(asked) => asked.0.iter().map(|procs| procs.get()).collect(),
        None => {
            let powers = (0..12).map(|power| 1 << power).take_while(|&procs| procs <= most);
            powers.chain([about.procs, most.min(MAX_PROCS)]).collect()
        }
    };
    worlds.sort_unstable();
    worlds.dedup();
    match worlds.iter().find(|&&procs| procs > most) {
        Some(procs) => Err(Error::rejected(
            Explained::new(format!(
                "{procs} ranks cannot be predicted: the traced run had {} cpus, and ranks that take \
                 turns are not simulated",
                about.cpus
            ))
            .hint(format!("--procs with numbers up to {most}")),
        )),
        None => Ok(worlds),
    }
}

/// Returns the schedules to try with so many ranks: those asked for, or all; where one names no chunk,
/// with chunks from small to large too.
pub(super) fn schedules(asked: Option<&Schedules>, about: &About, procs: u32) -> Vec<Schedule> {
    use ScheduleKind::{Auto, AwfB, Dynamic, Fac2, Guided, Static, Steal, Tss};
    let all = [Static, Dynamic, Guided, Tss, Fac2, AwfB, Steal, Auto];
    let mut found = Vec::new();
    let mut add = |schedule: Schedule| {
        if !found.contains(&schedule) {
            found.push(schedule);
        }
    };
    if procs == about.procs {
        add(about.schedule); // So that the prediction can be held against what was measured.
    }
    let named = asked.map_or_else(
        || all.map(|kind| Schedule::new(kind, None)).to_vec(),
        |asked| asked.0.clone(),
    );
    for schedule in named {
        add(schedule);
        if schedule.chunk().is_none() && !schedule.is_auto() {
            chunks(about.size, procs)
                .for_each(|chunk| add(Schedule::new(schedule.kind(), Some(chunk))));
        }
    }
    found
}

/// Returns chunks from small to large, so that each rank has two at least.
fn chunks(n: u64, procs: u32) -> impl Iterator<Item = NonZeroU64> {
    let most = n / (2 * u64::from(procs));
    let steps = std::iter::successors(Some(1_u64), |chunk| chunk.checked_mul(STEP));
    steps
        .skip_while(move |chunk| n / chunk > MOST_CHUNKS)
        .take_while(move |chunk| *chunk <= most)
        .filter_map(NonZeroU64::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_a_list_of_schedules_belongs_to_the_name_before_it() {
        let list: Schedules = "static, dynamic,64,dynamic,1e3,steal".parse().unwrap();
        let names: Vec<String> = list.0.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["static", "dynamic,64", "dynamic,1000", "steal"]);
        for text in ["", "64", "static,,dynamic", "dynamic,1,2", "auto,5"] {
            assert!(text.parse::<Schedules>().is_err(), "{text}");
        }
    }

    #[test]
    fn lists_of_worlds_are_numbers_of_ranks() {
        let list: Worlds = "1, 4,2".parse().unwrap();
        assert_eq!(list.0.iter().map(|procs| procs.get()).collect::<Vec<_>>(), [1, 4, 2]);
        for text in ["", "0", "1,", "-1", "+1", "5000", "two"] {
            assert!(text.parse::<Worlds>().is_err(), "{text}");
        }
    }

    #[test]
    fn chunks_grow_by_four_and_are_not_more_than_can_be_played() {
        let list = |n, procs| chunks(n, procs).map(NonZeroU64::get).collect::<Vec<_>>();
        assert_eq!(list(1000, 2), [1, 4, 16, 64]);
        assert_eq!(list(3, 2), [] as [u64; 0]);
        assert!(list(1 << 40, 4).iter().all(|chunk| (1_u64 << 40) / chunk <= MOST_CHUNKS));
    }
}
