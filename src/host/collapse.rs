//! Huge pages made out of small ones, where no rule of the machine gives them to shared memory.
//!
//! The rules (`shmem_enabled`, mount options) say what a fault brings. A process may still put 2 MiB of
//! shared memory together into one huge page, at its own expense: `MADV_COLLAPSE`, since Linux 6.1, asks for no
//! rule but `deny` (madvise(2)). One small page has to be there; the others are then not made one by one, but
//! cleared with the whole. For 2 MiB that takes 0.4 ms, where 512 small pages that two processes make at once
//! take 1.1: they wait for each other's lock of the file.

use std::io;

use super::clock;
use super::huge::Advice;
use super::map::{HUGE_PAGE, Populated, populate};

/// How many nanoseconds a huge page may take on average before small ones are the better bargain: where
/// memory is in small pieces the kernel first moves them about, which can take many times as long as they save.
const PATIENCE_NS: u64 = 4_000_000;
/// As in `linux/mman.h`; the C library's headers have it only since glibc 2.37, and not on every target.
const MADV_COLLAPSE: libc::c_int = 25;
/// How many pages an average is of.
const SOME: u64 = 4;

/// Makes pages of the arrays present, in huge pages as long as those can be had.
#[derive(Debug)]
pub(crate) struct Maker {
    wanted: bool,
    /// How many it has tried to make, and for how long.
    tried: u64,
    spent_ns: u64,
}

/// What came of one try.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    Yes,
    /// Not this one: somebody is busy with its pages.
    NotNow,
    /// Nor any other: the kernel does not, or has none.
    Never,
}

impl Maker {
    pub(crate) fn new(advice: Advice) -> Self {
        Self { wanted: advice == Advice::Collapse, tried: 0, spent_ns: 0 }
    }

    /// Does what [`populate`] does, in huge pages wherever one lies in the range.
    ///
    /// # Safety
    /// The bytes must lie in one shared, writable mapping of this process.
    #[expect(unsafe_code, reason = "madvise")]
    pub(crate) unsafe fn populate(&mut self, at: *mut u8, len: usize) -> io::Result<Populated> {
        let end = at.addr() + len;
        let mut done = 0;
        while self.wanted {
            let start = (at.addr() + done).next_multiple_of(HUGE_PAGE);
            if start + HUGE_PAGE > end {
                break;
            }
            let before = start - at.addr() - done;
            // SAFETY: a part of the range, by the caller's promise; so below.
            if unsafe { populate(at.wrapping_add(done), before) }? == Populated::Unsupported {
                return Ok(Populated::Unsupported);
            }
            done += before;
            // SAFETY: as above.
            let made = unsafe { self.make(at.wrapping_add(done)) }?;
            if made == Made::NotNow {
                // SAFETY: as above.
                unsafe { populate(at.wrapping_add(done), HUGE_PAGE) }?;
            }
            if made != Made::Never {
                done += HUGE_PAGE;
            }
        }
        // SAFETY: as above.
        unsafe { populate(at.wrapping_add(done), len - done) }
    }

    /// Makes one huge page of the 2 MiB at `at`.
    ///
    /// # Safety
    /// The bytes must lie in one shared, writable mapping of this process.
    #[expect(unsafe_code, reason = "madvise")]
    unsafe fn make(&mut self, at: *mut u8) -> io::Result<Made> {
        let begun = clock::now_ns();
        // SAFETY: the caller's promise. Its error is that of all of them: there is no room.
        unsafe { populate(at, 1) }?;
        // SAFETY: the caller's promise; what is there already stays as it is.
        let collapse = || unsafe { libc::madvise(at.cast(), HUGE_PAGE, MADV_COLLAPSE) };
        let error = || io::Error::last_os_error().raw_os_error();
        let mut made = Made::Yes;
        if collapse() != 0 {
            made = match error() {
                // What was in the way is often gone at once (madvise(2)).
                Some(libc::EAGAIN | libc::EINTR) if collapse() == 0 => Made::Yes,
                Some(libc::EAGAIN | libc::EINTR) => Made::NotNow,
                _ => Made::Never,
            };
        }
        self.tried += 1;
        self.spent_ns += clock::now_ns() - begun;
        self.wanted = made != Made::Never && !self.too_dear();
        Ok(made)
    }

    fn too_dear(&self) -> bool {
        self.tried >= SOME && self.spent_ns / self.tried > PATIENCE_NS
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::host::map::tests::shared;
    use crate::host::map::{Access, Window};

    /// Fills a window of a few huge pages, which begins on one or not, and lets a maker have a part of it.
    #[expect(unsafe_code, reason = "writes to a window of the test's own")]
    fn kept(begin: Option<usize>, range: std::ops::Range<usize>) {
        const LEN: usize = 5 * HUGE_PAGE;
        let file = shared(LEN);
        let fd = file.as_fd();
        let window = match begin {
            None => Window::for_huge_pages(fd, LEN, Access::Write),
            Some(at) => Window::new(fd, at, LEN - at, Access::Write),
        };
        let window = window.unwrap();
        // A byte here and there, so that pages of all kinds are met: there, not there, next to one that is.
        let marks = || (0..window.len()).step_by(9 * 4096 + 1);
        for at in marks() {
            // SAFETY: inside the window.
            unsafe { window.as_ptr().wrapping_add(at).write((at % 251) as u8) };
        }
        let mut maker = Maker::new(Advice::Collapse);
        let at = window.as_ptr().wrapping_add(range.start);
        // SAFETY: a part of the window.
        let done = unsafe { maker.populate(at, range.len()) }.unwrap();
        if done == Populated::Unsupported {
            return;
        }
        let mut resident = vec![0_u8; range.len().div_ceil(4096) + 1];
        let first = at.wrapping_sub(at.addr() % 4096);
        let len = range.len() + at.addr() % 4096;
        // SAFETY: addresses of the window, and a byte for each page.
        let asked = unsafe { libc::mincore(first.cast(), len, resident.as_mut_ptr()) };
        assert_eq!(asked, 0);
        assert!(resident[..len.div_ceil(4096)].iter().all(|page| page & 1 == 1), "all present");
        for at in 0..window.len() {
            let expected = if at % (9 * 4096 + 1) == 0 { (at % 251) as u8 } else { 0 };
            // SAFETY: inside the window.
            assert_eq!(unsafe { window.as_ptr().wrapping_add(at).read() }, expected, "{at}");
        }
    }

    #[test]
    fn what_was_there_stays_and_all_is_present_whatever_the_range() {
        let page = HUGE_PAGE;
        for range in [
            0..5 * page,
            page..2 * page,
            4096..5 * page - 4096,
            8..2 * page + 24,
            page - 4096..page + 4096,
            0..0,
            3 * page - 1..5 * page - 3,
        ] {
            kept(None, range.clone());
            kept(Some(4096), range.start..range.end.min(5 * page - 4096));
        }
    }

    #[test]
    fn who_is_not_asked_for_huge_pages_makes_none() {
        for advice in [Advice::Nothing, Advice::Huge, Advice::Small] {
            assert!(!Maker::new(advice).wanted);
        }
    }

    #[test]
    fn one_that_takes_too_long_on_average_is_not_tried_again() {
        let maker = |tried, spent_ns| Maker { wanted: true, tried, spent_ns };
        assert!(!maker(3, 3 * PATIENCE_NS + 3).too_dear(), "the first few may be slow");
        assert!(maker(4, 4 * PATIENCE_NS + 4).too_dear());
        assert!(!maker(400, 400 * PATIENCE_NS).too_dear());
    }
}
