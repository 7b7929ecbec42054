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
