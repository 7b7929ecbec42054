//! A rank that waits for orders: one world after another, in the same process.
//!
//! What it shares with its launcher, and who dies when, is in `engine/crew.rs`. Here is the rank's half:
//! after each world it lets go of all of it, but for the mapping of a region that may serve another one, and only
//! then answers.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::memory::Memory;
use super::{End, take_part};
use crate::host::line::{Line, SegmentAt};
use crate::host::procs;
use crate::host::recent::Recent;
use crate::job::LINE_FD;
use crate::kernel::Catalog;
use crate::shm::Attached;

/// Takes part in worlds until nobody sends another order.
#[expect(unsafe_code, reason = "takes over an inherited descriptor")]
pub(super) fn serve(rank: u32, catalog: &Catalog) -> io::Result<End> {
    // SAFETY: a rank's first act; nothing else in this process owns this number.
    let line = Line::from_inherited(unsafe { procs::inherited(LINE_FD) }?);
    procs::close_from(LINE_FD as u32 + 1);
    let (mut memory, mut regions) = (Memory::default(), Recent::default());
    while let Some(order) = line.next_order()? {
        let mut own = None;
        let attached = attach(&order.segment, &mut own, &mut regions)?;
        let end = take_part(rank, attached, &order, &mut memory, catalog)?;
        drop((own, order));
        match end {
            End::Done => line.answer(end.status())?,
            End::Stopped => {
                line.answer(end.status())?;
                memory.counts.begin_anew(); // Nobody has asked since it began.
            }
            // As good as dead: what a kernel that failed has left behind is nobody's to use.
            End::Faulty => return Ok(end),
        }
    }
    Ok(End::Done)
}

/// Attaches to the segment of an order: as its `own` for one world, or as long as the region is remembered.
fn attach<'a>(
    segment: &SegmentAt<OwnedFd>,
    own: &'a mut Option<Attached>,
    regions: &'a mut Recent<Attached>,
) -> io::Result<&'a Attached> {
    match segment {
        SegmentAt::Once(file) => Ok(own.insert(Attached::new(file.as_fd())?)),
        SegmentAt::New(file, number) => Ok(regions.add(*number, Attached::new(file.as_fd())?)),
        SegmentAt::Known(number) => {
            let unknown = || io::Error::other("the order is for a segment that was never sent");
            let attached = regions.find(*number).ok_or_else(unknown)?;
            attached.look_again()?;
            Ok(attached)
        }
    }
}

#[cfg(all(test, not(spmd_loom)))]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::schedule::{Partition, Schedule, ScheduleKind};
    use crate::shm::{Backing, Contents, Dims, Layout, Seats, Segment};

    fn dims(samples: u64) -> Dims {
        let (procs, queues, job, result) = (1, 1, 2, 80);
        let (saved_block, source, operands, trail) = (0, 0, 0, 0);
        Dims { procs, queues, samples, job, saved_block, source, result, operands, trail }
    }

    #[test]
    fn a_region_is_attached_to_again_only_if_it_came_and_is_laid_out_as_then() {
        let layout = Layout::new(dims(1)).unwrap();
        let schedule = Schedule::new(ScheduleKind::Static, None);
        let partition = Partition::new(schedule, 10, 1, NonZeroU64::MIN, NonZeroU64::MIN);
        let seats = Seats { pins: &[None], nodes: &[0], neighbours: 1 };
        let contents = Contents { job: b"{}", partition: &partition, seats, words: None };
        let segment = Segment::create(layout, Backing::Memfd, contents).unwrap();
        segment.publish();
        let sent = || SegmentAt::New(segment.fd().try_clone_to_owned().unwrap(), 7);
        let (mut own, mut regions) = (None, Recent::default());
        let mut at = |segment: &SegmentAt<OwnedFd>| {
            let attached = attach(segment, &mut own, &mut regions)?;
            io::Result::Ok(attached.result.as_ptr())
        };
        assert!(at(&SegmentAt::Known(7)).is_err(), "it never came");
        let first = at(&sent()).unwrap();
        assert_eq!(at(&SegmentAt::Known(7)).unwrap(), first, "the same mapping");
        assert!(at(&SegmentAt::Known(8)).is_err());
        let header = segment.control().header();
        header.write(&dims(2), layout.total);
        assert!(at(&SegmentAt::Known(7)).is_err(), "another layout of the same length");
        header.write(&dims(1), layout.total);
        assert_eq!(at(&SegmentAt::Known(7)).unwrap(), first);
    }
}
