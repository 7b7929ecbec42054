//! Which CPUs this process may use, and pinning to one of them: the only user of `core_affinity`.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::str::FromStr;

use core_affinity::CoreId;

use super::root::Root;
use crate::error::{Error, Explained};

/// `core_affinity` indexes a mask of this many bits and aborts the process beyond it.
const MOST: usize = 1024;

/// Twice what a Linux kernel can be built for: no list names more CPUs.
const MOST_LISTED: u32 = 1 << 14;

/// A set of CPUs, by the numbers the operating system gives them; written `0-3,8`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(BTreeSet<u32>);

impl CpuSet {
    /// Returns the CPUs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says whether `cpu` is one of them.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.contains(&cpu)
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while cpus.peek() == Some(&(last + 1)) {
                last += 1;
                cpus.next();
            }
            if first == last {
                write!(f, "{separator}{first}")?;
            } else {
                write!(f, "{separator}{first}-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

impl FromStr for CpuSet {
    type Err = Error;

    /// Reads the kernel's list format: `0-3,8`, and `0-7:2` for every second.
    fn from_str(text: &str) -> Result<Self, Error> {
        let fault = |part: &str| {
            Error::rejected(
                Explained::new(format!(
                    "`{part}` in the cpu list `{text}` is not a cpu or a range"
                ))
                .hint("numbers as the operating system gives them: 0-3,8"),
            )
        };
        let number = |part: &str, digits: &str| -> Result<u32, Error> {
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(fault(part));
            }
            digits.parse().ok().filter(|&cpu| cpu < 1 << 20).ok_or_else(|| fault(part))
        };
        let mut cpus = BTreeSet::new();
        let mut listed = 0;
        for part in text.split(',').map(str::trim) {
            let (range, step) = part.split_once(':').unwrap_or((part, "1"));
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last, step) =
                (number(part, first)?, number(part, last)?, number(part, step)?);
            if first > last || step == 0 {
                return Err(fault(part));
            }
            // Neither a million CPUs nor one range a thousand times: a small set then, but found late.
            listed += (last - first) / step + 1;
            if listed > MOST_LISTED {
                return Err(Error::rejected(
                    Explained::new(format!("a cpu list names more than {MOST_LISTED} cpus"))
                        .hint("each cpu or range once: 0-3,8"),
                ));
            }
            cpus.extend((first..=last).step_by(step as usize));
        }
        Ok(Self(cpus))
    }
}

/// Returns the CPUs the calling thread may run on.
///
/// Ask before anything is pinned: afterwards this is one CPU, and children inherit it.
pub(crate) fn allowed() -> io::Result<CpuSet> {
    // `core_affinity` reads a mask of 1024 bits, which the kernel refuses on larger machines.
    core_affinity::get_core_ids()
        .map(|cores| cores.iter().filter_map(|core| u32::try_from(core.id).ok()).collect())
        .filter(|cpus: &CpuSet| !cpus.is_empty())
        .map_or_else(mask, Ok)
}

/// Returns the same of whoever wrote the files below `root`.
pub(crate) fn allowed_of(root: &Root) -> io::Result<CpuSet> {
    if root.is_system() {
        return allowed();
    }
    let status = root.text("proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.and_then(|list| list.trim().parse().ok())
        .or_else(|| super::topology::online_of(root))
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// Why a rank is not pinned.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum PinFault {
    #[error("cpu {0} is beyond the {MOST} that can be pinned to")]
    TooLarge(u32),
    #[error("cpu {cpu} cannot be pinned to: the mask is {mask} afterwards")]
    NotTaken { cpu: u32, mask: CpuSet },
}

/// Says whether there is a way to pin to this CPU at all.
pub(crate) fn can_pin(cpu: u32) -> bool {
    (cpu as usize) < MOST
}

/// Pins the calling thread to one CPU, and reads the mask back.
pub(crate) fn pin(cpu: u32) -> Result<(), PinFault> {
    if !can_pin(cpu) {
        return Err(PinFault::TooLarge(cpu));
    }
    let taken = core_affinity::set_for_current(CoreId { id: cpu as usize });
    let mask = mask().unwrap_or_default();
    if taken && mask.len() == 1 && mask.contains(cpu) {
        Ok(())
    } else {
        Err(PinFault::NotTaken { cpu, mask })
    }
}

/// Lets the calling thread run on these CPUs and no others.
#[expect(unsafe_code, reason = "sched_setaffinity with a mask larger than libc's type")]
pub(crate) fn confine(cpus: &CpuSet) -> io::Result<()> {
    let words = cpus.iter().max().map_or(0, |most| most as usize / 64 + 1);
    let mut mask = vec![0_u64; words];
    for cpu in cpus.iter() {
        mask[cpu as usize / 64] |= 1 << (cpu % 64);
    }
    // SAFETY: `mask` is that many readable bytes, aligned for the kernel's unsigned long.
    let done = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, words * 8, mask.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads the calling thread's mask with as many bits as this kernel has.
#[expect(unsafe_code, reason = "sched_getaffinity with a mask larger than libc's type")]
fn mask() -> io::Result<CpuSet> {
    let mut words = 16;
    loop {
        let mut mask = vec![0_u64; words];
        // SAFETY: `mask` is that many writable bytes, aligned for the kernel's unsigned long.
        let used =
            unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, words * 8, mask.as_mut_ptr()) };
        if used >= 0 {
            return Ok((0..)
                .zip(mask.iter())
                .flat_map(|(word, bits)| {
                    (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit)
                })
                .collect());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) || words > 1 << 14 {
            return Err(error);
        }
        words *= 2;
    }
}

/// Returns the CPU the calling thread runs on at this moment.
#[expect(unsafe_code, reason = "sched_getcpu")]
pub(crate) fn current() -> Option<u32> {
    // SAFETY: no memory is involved.
    u32::try_from(unsafe { libc::sched_getcpu() }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_list_format_and_says_it_back() {
        for (text, back) in [
            ("0", "0"),
            ("0-3,8", "0-3,8"),
            ("3,1,2", "1-3"),
            ("0-6:2", "0,2,4,6"),
            (" 1 , 2", "1-2"),
        ] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), back);
        }
    }

    #[test]
    fn refuses_what_is_no_list_of_cpus() {
        for text in
            ["", "-1", "a", "3-1", "1-", "1,,2", "0-4:0", "٣", "99999999999", "0-4294967295"]
        {
            assert!(text.parse::<CpuSet>().is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_lists_that_take_longer_to_read_than_any_machine_has_cpus() {
        assert_eq!("0-16383".parse::<CpuSet>().unwrap().len(), 16384);
        let again = ["0-16383"; 4000].join(",");
        assert!(again.parse::<CpuSet>().unwrap_err().to_string().contains("more than 16384 cpus"));
    }

    #[test]
    fn an_absent_cpu_is_refused_without_aborting() {
        for cpu in [1023, 1024, 1_000_000] {
            std::thread::spawn(move || assert!(pin(cpu).is_err())).join().unwrap();
        }
    }

    #[test]
    fn a_thread_confined_to_cpus_may_run_on_those_alone() {
        std::thread::spawn(|| {
            let one: CpuSet = allowed().unwrap().iter().take(1).collect();
            confine(&one).unwrap();
            assert_eq!(mask().unwrap(), one);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn after_a_pin_the_allowed_set_is_that_cpu() {
        std::thread::spawn(|| {
            let cpu = allowed().unwrap().iter().last().unwrap();
            pin(cpu).unwrap();
            assert_eq!(allowed().unwrap().to_string(), cpu.to_string());
            assert_eq!(current(), Some(cpu));
        })
        .join()
        .unwrap();
    }
}
