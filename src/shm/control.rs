//! The bookkeeping part of a segment, as typed references; and a rank's attachment to it.
#![expect(unsafe_code, reason = "references into the segment")]

use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use super::barrier::Barrier;
use super::claims::Claims;
use super::exceptions::Exceptions;
use super::header::{AttachError, Header};
use super::layout::{Layout, Span};
use super::rank_slot::{PassTime, RankSlot};
use super::trail::{StepWords, Trail, TrailHead};
use super::words::Words;
use crate::host::map::{self, Access, Window, file_len};

/// Typed access to the bookkeeping of a mapped segment.
///
/// Everything reachable from here is made of atomics, so shared references to it are sound while
/// other processes write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control<'a> {
    base: *const u8,
    /// Where the words lie: in the segment, or a file in its place.
    words: *const u8,
    layout: Layout,
    memory: PhantomData<&'a Header>,
}

// SAFETY: it stands for shared references to atomics (I1), which are Send and Sync.
unsafe impl Send for Control<'_> {}
// SAFETY: as above.
unsafe impl Sync for Control<'_> {}

impl<'a> Control<'a> {
    /// # Safety
    /// `base` points at `layout.control` bytes, aligned to a page, that stay mapped for 'a and hold
    /// a segment of this layout (or zeroes).
    pub(super) unsafe fn new(base: *const u8, layout: Layout) -> Self {
        let words = base.wrapping_add(layout.words().offset);
        Self { base, words, layout, memory: PhantomData }
    }

    /// Takes the words of this window for those of the segment; an error if it is too small.
    pub(crate) fn with_words<'w>(&self, words: &'w Window) -> io::Result<Control<'w>>
    where
        'a: 'w,
    {
        if words.len() < self.layout.words().len {
            return Err(io::Error::other("the window has no room for the claim words"));
        }
        let words = words.as_ptr().cast_const();
        Ok(Control { base: self.base, words, layout: self.layout, memory: PhantomData })
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    fn array<T>(&self, span: Span) -> &'a [T] {
        debug_assert!(span.offset + span.len <= self.layout.control);
        // SAFETY: the span lies in the control part, aligned to 128 and sized in whole T (I2).
        let first = unsafe { self.base.add(span.offset) };
        // SAFETY: T is one of this module's types, made of atomics and valid for any bytes (I1).
        unsafe { std::slice::from_raw_parts(first.cast::<T>(), span.len / size_of::<T>()) }
    }

    pub(crate) fn header(&self) -> &'a Header {
        &self.array(self.layout.header)[0]
    }

    pub(crate) fn barrier(&self) -> &'a Barrier {
        &self.array(self.layout.barrier)[0]
    }

    /// Returns the words that say what is finished.
    pub(crate) fn words(&self) -> Words<'a> {
        // SAFETY: in the segment by `new`, else in a window of that length by `with_words`; mapped for 'a.
        unsafe { Words::new(self.words, self.layout) }
    }

    pub(crate) fn exceptions(&self) -> &'a Exceptions {
        // They are the first of the words. Asked for in every chunk: `words` copies the whole layout.
        // SAFETY: as in `words`; the type is made of atomics and valid for any bytes (I1).
        unsafe { &*self.words.cast::<Exceptions>() }
    }

    pub(crate) fn claims(&self) -> Claims<'a> {
        self.words().claims()
    }

    /// Returns what each rank says about itself.
    pub(crate) fn ranks(&self) -> &'a [RankSlot] {
        self.array(self.layout.ranks)
    }

    /// Returns the times of the timed passes.
    pub(crate) fn samples(&self) -> &'a [PassTime] {
        self.array(self.layout.samples)
    }

    /// Returns what a rank writes down of its chunks, if that was asked for.
    pub(crate) fn trail(&self, rank: u32) -> Option<Trail<'a>> {
        let head = self.array::<TrailHead>(self.layout.trails).get(rank as usize)?;
        let each = usize::try_from(self.layout.dims.trail).ok()?;
        let first = each.checked_mul(rank as usize)?;
        let steps = self.array::<StepWords>(self.layout.steps).get(first..first + each)?;
        Some(Trail::new(head, steps))
    }

    /// Writes the job's description; before the segment is published.
    pub(super) fn write_job(&self, job: &[u8]) {
        assert!(job.len() == self.layout.job.len, "the layout was made for this description");
        // SAFETY: the span lies in the control part (I2).
        let at = unsafe { self.base.add(self.layout.job.offset) };
        // SAFETY: that many bytes, which nobody else uses before the segment is published.
        unsafe { std::ptr::copy_nonoverlapping(job.as_ptr(), at.cast_mut(), job.len()) };
    }

    /// Copies the job's description out.
    pub(crate) fn job(&self) -> Vec<u8> {
        let mut job = vec![0; self.layout.job.len];
        // SAFETY: the span lies in the control part (I2).
        let at = unsafe { self.base.add(self.layout.job.offset) };
        // SAFETY: that many bytes; written before the segment was published, never after.
        unsafe { std::ptr::copy_nonoverlapping(at, job.as_mut_ptr(), job.len()) };
        job
    }
}

/// Returns the layout that a header and the segment's length agree on.
pub(super) fn checked(header: &Header, mapped: u64) -> Result<Layout, AttachError> {
    Layout::new(header.read(mapped)?)
        .filter(|layout| layout.total as u64 == mapped)
        .ok_or(AttachError::Inconsistent("its numbers give another length"))
}

/// A rank's windows into the segment.
#[derive(Debug)]
pub(crate) struct Attached {
    control: Window,
    layout: Layout,
    /// Saved blocks, one per lease slot; empty unless in place.
    pub(crate) saved: Window,
    /// The input array, read-only; empty unless the segment holds it.
    pub(crate) source: Window,
    /// The kernel's own arrays; empty if it has none.
    pub(crate) operands: Window,
    /// The result array; empty unless the segment holds it.
    pub(crate) result: Window,
}

impl Attached {
    /// Maps a segment and checks that it is one this build understands.
    pub(crate) fn new(segment: BorrowedFd<'_>) -> io::Result<Self> {
        let layout = Self::layout_of(segment)?;
        // One mapping of all that is written to: each more would cost as much again.
        let written = if layout.may_have_huge_pages() {
            Window::for_huge_pages(segment, layout.source.offset, Access::Write)?
        } else {
            Window::new(segment, 0, layout.source.offset, Access::Write)?
        };
        let part = |span: Span| written.part(span.offset, span.len);
        let Span { offset, len } = layout.source;
        Ok(Self {
            control: written.part(0, layout.control)?,
            layout,
            saved: part(layout.saved)?,
            operands: part(layout.operands)?,
            result: part(layout.result)?,
            source: Window::new(segment, offset, len, Access::Read)?,
        })
    }

    /// Checks that the segment it shows was laid out as it is seen here, for the world that begins now.
    pub(crate) fn look_again(&self) -> io::Result<()> {
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let layout = checked(self.control().header(), self.layout.total as u64)
            .map_err(|error| wrong(error.to_string()))?;
        if layout == self.layout {
            Ok(())
        } else {
            Err(wrong("the segment was laid out anew, and differently".to_owned()))
        }
    }

    fn layout_of(segment: BorrowedFd<'_>) -> io::Result<Layout> {
        let mapped = file_len(segment)?;
        let mut header = MaybeUninit::<Header>::zeroed();
        // Read and not mapped: a mapping of its own costs ten times as much.
        // SAFETY: a header's own bytes, for as long as the call takes.
        unsafe { map::read_start(segment, header.as_mut_ptr().cast(), size_of::<Header>()) }?;
        // SAFETY: any bytes are valid (I1); they are checked before anything follows from them (I4).
        checked(unsafe { header.assume_init_ref() }, mapped)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Returns the windows of the arrays.
    pub(crate) fn arrays(&self) -> [&Window; 3] {
        [&self.source, &self.operands, &self.result]
    }

    /// Maps only the bookkeeping of a segment, to watch it.
    pub(crate) fn observe(segment: BorrowedFd<'_>) -> io::Result<Self> {
        let layout = Self::layout_of(segment)?;
        let control = Window::new(segment, 0, layout.control, Access::Write)?;
        let [saved, source, operands, result] = [(); 4].map(|()| Window::none());
        Ok(Self { control, layout, saved, source, operands, result })
    }

    pub(crate) fn control(&self) -> Control<'_> {
        // SAFETY: the window is `layout.control` bytes from the segment's start, and lives as long.
        unsafe { Control::new(self.control.as_ptr(), self.layout) }
    }
}
