//! Huge pages made out of small ones, where no rule of the machine gives them to shared memory.
//!
//! The rules (`shmem_enabled`, mount options) say what a fault brings. A process may still put 2 MiB of
//! shared memory together into one huge page, at its own expense: `MADV_COLLAPSE`, since Linux 6.1, asks for no
//! rule but `deny` (madvise(2)). One small page has to be there; the others are then not made one by one, but
//! cleared with the whole. Small pages that several processes make at once of one file cost more, as they wait
//! for each other's lock of it: how much more is in `benches/README.md`, and depends on where the memory was.

use std::io;

use super::clock;
use super::huge::Advice;
use super::map::{HUGE_PAGE, Populated, populate};

/// How many nanoseconds of CPU a huge page may take before small ones are the better bargain: about what 512 of
/// them take where this was measured. There may be two causes: memory is in small pieces, which are moved about first; or
/// this is a virtual machine that has told its host which large pieces are free (page_reporting), and the host
/// has to find memory for them again. Small pages come from pieces that are in use.
const DEAR_NS: u64 = 1_200_000;
/// And how many by the clock: the kernel may wait for other CPUs, or this process for its own.
const LONG_NS: u64 = 8 * DEAR_NS;
/// How many are left out at most: 2 GiB.
const MOST: usize = 1024;
/// As in `linux/mman.h`; the C library's headers have it only since glibc 2.37, and not on every target.
const MADV_COLLAPSE: libc::c_int = 25;

/// Makes pages of the arrays present, in huge pages as long as those can be had.
#[derive(Debug)]
pub(crate) struct Maker {
    wanted: bool,
    /// How many are to be left small before the next is tried, and how many were so the last time.
    left_out: usize,
    gap: usize,
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
        Self { wanted: advice == Advice::Collapse, left_out: 0, gap: 0 }
    }

    /// Does what [`populate`] does, in huge pages wherever one lies in the first `room` bytes: so many, no fewer
    /// than are asked for, are nobody else's. Beyond `len` nothing is made but what completes a huge page.
    ///
    /// # Safety
    /// The first `room` bytes must lie in one shared, writable mapping of this process.
    #[expect(unsafe_code, reason = "madvise")]
    pub(crate) unsafe fn populate(
        &mut self,
        at: *mut u8,
        len: usize,
        room: usize,
    ) -> io::Result<Populated> {
        let mut done = 0;
        while self.wanted && done < len {
            let start = (at.addr() + done).next_multiple_of(HUGE_PAGE) - at.addr();
            if start >= len || start + HUGE_PAGE > room {
                break;
            }
            let small = self.left_out.min((room - start) / HUGE_PAGE);
            self.left_out -= small;
            let next = len.min(start + small * HUGE_PAGE);
            // SAFETY: a part of the range, by the caller's promise; so below.
            let before = unsafe { populate(at.wrapping_add(done), next - done) }?;
            if before == Populated::Unsupported {
                return Ok(before);
            }
            done = next;
            if small > 0 {
                continue;
            }
            // SAFETY: as above.
            match unsafe { self.make(at.wrapping_add(done)) }? {
                Made::Yes => done += HUGE_PAGE,
                Made::NotNow => self.left_out = self.left_out.max(1),
                Made::Never => self.wanted = false,
            }
        }
        if done >= len {
            return Ok(Populated::Yes);
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
        let (begun, cpu) = (clock::now_ns(), clock::cpu_ns());
        // SAFETY: the caller's promise. Its error is that of all of them: there is no room.
        unsafe { populate(at, 1) }?;
        // SAFETY: the caller's promise; what is there already stays as it is.
        let collapse = || unsafe { libc::madvise(at.cast(), HUGE_PAGE, MADV_COLLAPSE) };
        let refused = || match io::Error::last_os_error().raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR) => Made::NotNow,
            _ => Made::Never,
        };
        let mut made = if collapse() == 0 { Made::Yes } else { refused() };
        // What was in the way is often gone at once (madvise(2)).
        if made == Made::NotNow && collapse() == 0 {
            made = Made::Yes;
        }
        self.note(clock::cpu_ns() - cpu, clock::now_ns() - begun);
        Ok(made)
    }

    /// Takes account of what a huge page has cost: twice as many are left out each time it was too much.
    fn note(&mut self, cpu_ns: u64, ns: u64) {
        self.gap = if cpu_ns > DEAR_NS || ns > LONG_NS { (2 * self.gap).clamp(1, MOST) } else { 0 };
        self.left_out = self.gap;
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::host::map::tests::shared;
    use crate::host::map::{Access, Window};

    /// How many pages of 4 KiB there is memory behind.
    #[expect(unsafe_code, reason = "mincore")]
    fn resident(at: *mut u8, len: usize) -> usize {
        let mut pages = vec![0_u8; len.div_ceil(4096)];
        // SAFETY: addresses of a test's window, and a byte for each page.
        assert_eq!(unsafe { libc::mincore(at.cast(), len, pages.as_mut_ptr()) }, 0);
        pages.iter().filter(|page| *page & 1 == 1).count()
    }

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
        let done = unsafe { maker.populate(at, range.len(), range.len()) }.unwrap();
        if done == Populated::Unsupported {
            return;
        }
        let first = at.wrapping_sub(at.addr() % 4096);
        let len = range.len() + at.addr() % 4096;
        assert_eq!(resident(first, len), len.div_ceil(4096));
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
    fn the_dearer_they_are_the_fewer_are_tried() {
        let mut maker = Maker::new(Advice::Collapse);
        let mut left_out = |cpu_ns| {
            maker.note(cpu_ns, cpu_ns);
            maker.left_out
        };
        assert_eq!([DEAR_NS, DEAR_NS].map(&mut left_out), [0, 0]);
        assert_eq!([DEAR_NS + 1; 4].map(&mut left_out), [1, 2, 4, 8]);
        assert_eq!([1, DEAR_NS + 1].map(&mut left_out), [0, 1], "it may be over");
        assert_eq!([DEAR_NS + 1; 12].map(&mut left_out)[9..], [MOST, MOST, MOST]);
        maker.note(0, LONG_NS);
        assert_eq!(maker.left_out, 0);
        maker.note(0, LONG_NS + 1);
        assert_eq!(maker.left_out, 1, "what waits is dear as well");
    }

    #[test]
    #[expect(unsafe_code, reason = "populates a window of the test's own")]
    fn what_is_left_out_is_present_in_small_pages() {
        const LEN: usize = 8 * HUGE_PAGE;
        let file = shared(LEN);
        let window = Window::for_huge_pages(file.as_fd(), LEN, Access::Write).unwrap();
        let mut maker = Maker { wanted: true, left_out: 3, gap: 3 };
        // SAFETY: the whole window.
        let done = unsafe { maker.populate(window.as_ptr(), LEN, LEN) }.unwrap();
        if done == Populated::Yes {
            assert_eq!(resident(window.as_ptr(), LEN), LEN / 4096);
        }
        let mut maker = Maker { wanted: true, left_out: 30, gap: 30 };
        // SAFETY: a part of the window.
        unsafe { maker.populate(window.as_ptr().wrapping_add(8), LEN - 8, LEN - 8) }.unwrap();
        assert_eq!(maker.left_out, 23, "of seven whole pages");
    }

    #[test]
    #[expect(unsafe_code, reason = "populates a window of the test's own")]
    fn beyond_the_range_there_is_a_whole_huge_page_or_nothing() {
        const LEN: usize = 3 * HUGE_PAGE;
        for (left_out, room) in [(0, LEN), (0, LEN - 4096), (3, LEN), (2, LEN)] {
            let file = shared(LEN);
            let window = Window::for_huge_pages(file.as_fd(), LEN, Access::Write).unwrap();
            let mut maker = Maker { wanted: true, left_out, gap: 0 };
            let len = 2 * HUGE_PAGE + 8192;
            // SAFETY: a part of the window.
            let done = unsafe { maker.populate(window.as_ptr(), len, room) }.unwrap();
            let pages = resident(window.as_ptr(), LEN);
            let whole = room == LEN && left_out < 3 && pages == LEN / 4096;
            assert!(done == Populated::Unsupported || whole || pages == len / 4096, "{pages}");
        }
    }
}
