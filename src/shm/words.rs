//! The words that say which chunks are finished: claim words, and what is left out.
//!
//! They lie in the segment, unless the run keeps a checkpoint: then they lie in its file, so that they
//! outlive every process of the run. Nothing else about them differs.
#![expect(unsafe_code, reason = "references into the segment, or a file in its place")]

use std::marker::PhantomData;

use super::claims::{Claims, Handover, LeaseSlot, RangeSlot, Ranges, Tail};
use super::exceptions::Exceptions;
use super::layout::{Dims, Layout, Span};
use crate::host::map::Window;

/// The words of a run, wherever they lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a> {
    /// The first of them.
    at: *const u8,
    layout: Layout,
    memory: PhantomData<&'a Exceptions>,
}

impl<'a> Words<'a> {
    /// # Safety
    /// `at` points at `layout.words().len` bytes, aligned to 128, that stay mapped for 'a.
    pub(super) unsafe fn new(at: *const u8, layout: Layout) -> Self {
        Self { at, layout, memory: PhantomData }
    }

    /// Returns how many bytes the words of so many ranks and queues are; `None` if there are none such.
    pub(crate) fn bytes(procs: u32, queues: u32) -> Option<usize> {
        Some(Self::layout(procs, queues)?.words().len)
    }

    /// Views words in a window, of a run with so many ranks and queues; `None` if they do not fit it.
    pub(crate) fn in_window(window: &'a Window, procs: u32, queues: u32) -> Option<Self> {
        let layout = Self::layout(procs, queues)?;
        // SAFETY: the window begins on a page, is long enough, and lives for 'a.
        (layout.words().len <= window.len())
            .then(|| unsafe { Self::new(window.as_ptr().cast_const(), layout) })
    }

    /// Lays out the words alone: what follows them has no part in where they lie.
    fn layout(procs: u32, queues: u32) -> Option<Layout> {
        Layout::new(Dims {
            procs,
            queues,
            samples: 0,
            job: 0,
            saved_block: 0,
            source: 0,
            result: 0,
            operands: 0,
            trail: 0,
        })
    }

    fn array<T>(&self, span: Span) -> &'a [T] {
        debug_assert!(
            span.offset + span.len <= self.layout.words().offset + self.layout.words().len
        );
        // SAFETY: the span is one of the words' (I2), which begin at `at`.
        let first = unsafe { self.at.add(span.offset - self.layout.words().offset) };
        // SAFETY: T is one of this module's types, made of atomics and valid for any bytes (I1).
        unsafe { std::slice::from_raw_parts(first.cast::<T>(), span.len / size_of::<T>()) }
    }

    /// Returns who owns which chunk.
    pub(crate) fn claims(&self) -> Claims<'a> {
        Claims::new(
            self.array::<Tail>(self.layout.tails),
            self.array::<LeaseSlot>(self.layout.slots),
            Ranges::new(
                self.array::<RangeSlot>(self.layout.ranges),
                &self.array::<Handover>(self.layout.handover)[0],
            ),
        )
    }

    /// Returns what is not computed like all else.
    pub(crate) fn exceptions(&self) -> &'a Exceptions {
        &self.array(self.layout.exceptions)[0]
    }
}
