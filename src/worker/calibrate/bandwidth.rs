//! Loops over arrays in the segment, each rank in the part that it has touched first.
#![expect(unsafe_code, reason = "typed access to this rank's part of the arrays")]

use std::hint::black_box;
use std::ops::Range;

use super::{Bench, Seat, Work, loops, present};
use crate::arrays;
use crate::calibration::{ARRAYS, Calibration, Loop, Loops, PAGE};
use crate::shm::{Attached, Fault};
use crate::worker::Stop;

/// This rank's parts of the three arrays, and what is done with them.
pub(super) struct Bandwidth<'a> {
    loops: Loops,
    a: &'a mut [f64],
    b: &'a [f64],
    c: &'a mut [f64],
}

/// Returns the bytes of an array that are a rank's: whole pages, as many as the others', or one more.
fn part(array: u64, procs: u32, rank: u32) -> Range<u64> {
    let (pages, procs) = (array / PAGE, u64::from(procs));
    let first = |rank: u64| pages / procs * rank + (pages % procs).min(rank);
    first(u64::from(rank)) * PAGE..first(u64::from(rank) + 1) * PAGE
}

impl<'a> Bandwidth<'a> {
    /// Makes this rank's parts present, near its CPU, and fills them with numbers that are not zero.
    pub(super) fn touch(
        calibration: Calibration,
        (array, loops): (u64, Loops),
        seat: &Seat<'_>,
        attached: &'a Attached,
    ) -> Result<Self, Stop> {
        let part = part(array, seat.procs(), seat.number);
        let bytes = part.end - part.start;
        let mut parts = Vec::with_capacity(ARRAYS as usize);
        for number in 0..ARRAYS {
            let offset = calibration.array(seat.procs(), number);
            let offset = offset.and_then(|offset| usize::try_from(offset + part.start).ok());
            let at = arrays::start(&attached.result).wrapping_add(offset.ok_or_else(damaged)?);
            present(at, bytes)?;
            let len = usize::try_from(bytes).map_err(|_| damaged())? / size_of::<f64>();
            // SAFETY: `agree` has seen that the arrays lie in the window, which lives for 'a; parts begin
            // on pages of it, do not overlap, and each is its rank's alone. Any bytes are numbers.
            parts.push(unsafe { std::slice::from_raw_parts_mut(at.cast::<f64>(), len) });
        }
        let Ok([a, b, c]) = <[&mut [f64]; 3]>::try_from(parts) else { return Err(damaged()) };
        for (array, first) in [(&mut *a, 1.0), (&mut *b, 2.0), (&mut *c, 3.0)] {
            for (at, value) in array.iter_mut().enumerate() {
                *value = first + (at % 8) as f64 / 8.0;
            }
        }
        Ok(Self { loops, a, b, c })
    }
}

fn damaged() -> Stop {
    let what = "the arrays of the calibration do not lie in the segment";
    Stop::Fault(Fault::Internal, None, what.to_owned())
}

impl Bench for Bandwidth<'_> {
    fn work(&mut self, sample: u64, _: u64) -> Result<Work, Stop> {
        let which = self.loops.of(sample);
        let Self { a, b, c, .. } = self;
        // The factors keep values where they are, whatever the number of passes. No loop but the triad
        // begins with what the one before has left in the caches; and after itself that is the end of its arrays.
        match which {
            Loop::Read => {
                black_box(loops::read(b));
            }
            Loop::Update => loops::update(a, black_box(-1.0)),
            Loop::Copy => loops::copy(c, b, black_box(0)),
            Loop::Triad => loops::triad(a, b, c, black_box(0.5)),
        }
        let done = size_of_val(*b) as u64 * which.streams();
        Ok(Work { done, ..Work::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_pages_and_leave_nothing_out() {
        for (pages, procs) in [(1, 1), (2, 2), (7, 3), (64, 7), (3, 4)] {
            let parts: Vec<_> = (0..procs).map(|rank| part(pages * PAGE, procs, rank)).collect();
            assert_eq!(parts.first().unwrap().start, 0);
            assert_eq!(parts.last().unwrap().end, pages * PAGE);
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(parts.iter().all(|part| part.start % PAGE == 0));
        }
    }
}
