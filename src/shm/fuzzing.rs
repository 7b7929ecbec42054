//! What fuzzing checks of a segment whose bytes may be anything: see `crate::fuzzing`.
#![expect(unsafe_code, reason = "views bytes of its own as a segment")]

use std::num::NonZeroU64;

use super::control::{Control, checked};
use super::header::Header;
use super::layout::{Dims, Layout, Span};
use crate::schedule::{Partition, Schedule, ScheduleKind};

/// Memory that is aligned as a mapping is, so that the address sanitizer knows where it ends.
#[derive(Clone)]
#[repr(C, align(128))]
struct Line([u8; 128]);

/// A segment's first bytes, in memory of their own.
struct Bytes(Vec<Line>);

impl Bytes {
    fn new(len: usize) -> Self {
        Self(vec![Line([0; 128]); len.div_ceil(128)])
    }

    fn all(&mut self) -> &mut [u8] {
        // SAFETY: the vector's own bytes, borrowed as it is; `Line` has no padding.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 128) }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.all()[offset..].iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    }

    fn header(&self) -> &Header {
        assert!(self.0.len() * 128 >= size_of::<Header>());
        // SAFETY: as many bytes, aligned to 128; any bytes are valid (I1). Nobody writes to them
        // while they are borrowed.
        unsafe { &*self.0.as_ptr().cast::<Header>() }
    }
}

/// Attaches to a segment: 8 bytes of its length, then its first bytes; zeroes follow them.
///
/// Then once more with magic and versions as they should be, and once more with the length too, so
/// that the numbers behind them are reached.
pub(crate) fn segment_header(data: &[u8]) -> Result<(), String> {
    let Some((length, bytes)) = data.split_first_chunk::<8>() else {
        return Err("no length".to_owned());
    };
    let mut segment = Bytes::new(size_of::<Header>());
    segment.write(0, bytes.get(..size_of::<Header>()).unwrap_or(bytes));
    let as_it_is = attach(&segment, u64::from_le_bytes(*length)).map(drop);

    segment.write(0, &genuine_start());
    let total = bytes.get(16..24).and_then(|total| total.try_into().ok()).map(u64::from_le_bytes);
    let dims = segment.header().read(total.unwrap_or(0)).map_err(|error| error.to_string())?;
    let signed = attach(&segment, total.unwrap_or(0)).map(drop);

    let Some(layout) = Layout::new(dims) else { return as_it_is.or(signed) };
    segment.write(16, &(layout.total as u64).to_le_bytes());
    let consistent = attach(&segment, layout.total as u64);
    assert_eq!(consistent, Ok(layout), "{dims:?} give a layout that is then refused");
    read_control(&layout, &mut segment, bytes);
    Ok(())
}

/// Magic, layout and abi, as the launcher writes them.
fn genuine_start() -> [u8; 16] {
    let mut segment = Bytes::new(size_of::<Header>());
    let dims = Dims {
        procs: 1,
        queues: 1,
        samples: 0,
        job: 0,
        saved_block: 0,
        source: 0,
        result: 0,
        operands: 0,
        trail: 0,
    };
    segment.header().write(&dims, 0);
    segment.header().publish();
    let mut start = [0; 16];
    start.copy_from_slice(&segment.all()[..16]);
    start
}

fn attach(segment: &Bytes, mapped: u64) -> Result<Layout, String> {
    let layout = checked(segment.header(), mapped).map_err(|error| error.to_string())?;
    check_layout(&layout, mapped);
    Ok(layout)
}

/// The parts follow one another within what is mapped, each where its type may lie.
fn check_layout(layout: &Layout, mapped: u64) {
    let whole = |count: u32, size: usize| count as usize * size;
    assert_eq!(layout.total as u64, mapped);
    assert!(isize::try_from(layout.total).is_ok());
    assert_eq!(layout.header, Span { offset: 0, len: size_of::<Header>() });
    assert_eq!(layout.tails.len, whole(layout.dims.queues, 128));
    assert_eq!(layout.slots.len, whole(layout.dims.procs, 128));
    assert_eq!(layout.ranges.len, whole(layout.dims.procs, 128));
    assert_eq!(layout.handover.len, 128);
    assert_eq!(layout.ranks.len, whole(layout.dims.procs, 640));
    let point = |offset| Span { offset, len: 0 };
    let spans = [
        layout.header,
        layout.barrier,
        layout.tails,
        layout.slots,
        layout.ranges,
        layout.handover,
        layout.ranks,
        layout.samples,
        layout.trails,
        layout.steps,
        layout.job,
        point(layout.control),
        layout.saved,
        layout.operands,
        layout.result,
        layout.source,
        point(layout.total),
    ];
    for pair in spans.windows(2) {
        assert!(pair[0].offset.checked_add(pair[0].len).is_some_and(|end| end <= pair[1].offset));
        assert!(pair[0].offset % 128 == 0);
    }
    for mapped_alone in [layout.saved, layout.source, layout.operands, layout.result] {
        assert_eq!(mapped_alone.offset % 65536, 0);
    }
}

/// Reads all that the launcher reads of ranks, whatever they wrote: the bytes, again and again.
fn read_control(layout: &Layout, segment: &mut Bytes, bytes: &[u8]) {
    /// More is the same, only slower.
    const MOST: usize = 1 << 16;
    if layout.control > MOST {
        return;
    }
    let mut control = Bytes::new(layout.control);
    let (header, body) = control.all().split_at_mut(size_of::<Header>());
    header.copy_from_slice(segment.all());
    if let Some(after @ [_, ..]) = bytes.get(size_of::<Header>()..) {
        for part in body.chunks_mut(after.len()) {
            part.copy_from_slice(&after[..part.len()]);
        }
    }
    // SAFETY: `layout.control` bytes, aligned to 128 as all in them need be, that live as long;
    // any bytes are valid (I1), and nobody writes to them meanwhile.
    let control_view = unsafe { Control::new(control.0.as_ptr().cast(), *layout) };
    for rank in control_view.ranks() {
        let message = rank.reported().map(|(_, _, message)| message);
        // 240 bytes, each of which may become a replacement character of three.
        assert!(message.is_none_or(|message| message.len() <= 3 * 240));
        let _ = (rank.wanted(), rank.stage().name(), rank.done());
    }
    for sample in control_view.samples() {
        let _ = sample.length();
    }
    for rank in 0..layout.dims.procs {
        let steps = control_view.trail(rank).map_or(0, |trail| trail.steps().count());
        assert!(steps as u64 <= layout.dims.trail);
    }
    assert_eq!(control_view.job().len() as u64, layout.dims.job);
    let _ = (control_view.header().aborted(), control_view.header().offence());
    for kind in [
        ScheduleKind::Static,
        ScheduleKind::Dynamic,
        ScheduleKind::Guided,
        ScheduleKind::AwfB,
        ScheduleKind::Steal,
        ScheduleKind::Auto,
    ] {
        let n = layout.dims.result >> 24;
        for chunk in [None, NonZeroU64::new(7)] {
            let schedule = Schedule::new(kind, chunk);
            let one = NonZeroU64::MIN;
            let partition = Partition::new(schedule, n, layout.dims.procs, one, one);
            if partition.queues() == layout.dims.queues {
                let _ = control_view.claims().audit(&partition);
                if matches!(kind, ScheduleKind::Steal | ScheduleKind::Auto) {
                    let left = control_view.claims().remaining(&partition).unwrap_or_default();
                    assert!(left.iter().all(|chunk| chunk.start < chunk.end && chunk.end <= n));
                }
                let chunk = control_view.claims().current(&partition, 0);
                assert!(chunk.is_none_or(|chunk| chunk.start <= chunk.end && chunk.end <= n));
            }
        }
    }
}
