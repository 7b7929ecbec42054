//! A rank that waits for orders: one world after another, in the same process.
//!
//! What it shares with its launcher, and who dies when, is in `engine/crew.rs`. Here is the rank's half:
//! after each world it lets go of all of it, and only then answers.

use std::io;

use super::tally::Counts;
use super::{End, take_part};
use crate::host::line::Line;
use crate::host::procs;
use crate::job::LINE_FD;
use crate::kernel::Catalog;

/// Takes part in worlds until nobody sends another order.
#[expect(unsafe_code, reason = "takes over an inherited descriptor")]
pub(super) fn serve(rank: u32, catalog: &Catalog) -> io::Result<End> {
    // SAFETY: a rank's first act; nothing else in this process owns this number.
    let line = Line::from_inherited(unsafe { procs::inherited(LINE_FD) }?);
    procs::close_from(LINE_FD as u32 + 1);
    let mut counts = Counts::new();
    while let Some(order) = line.next_order()? {
        let end = take_part(rank, &order, &mut counts, catalog)?;
        drop(order);
        match end {
            End::Done => line.answer(end.status())?,
            End::Stopped => {
                line.answer(end.status())?;
                counts.begin_anew(); // Nobody has asked since it began.
            }
            // As good as dead: what a kernel that failed has left behind is nobody's to use.
            End::Faulty => return Ok(end),
        }
    }
    Ok(End::Done)
}
