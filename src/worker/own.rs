//! The arrays of a plain loop: in memory of this process's own, as a program has them that knows of no others.

use std::io;

use super::{Stop, machine};
use crate::arrays::{self, InputFrom};
use crate::host::map::{self, Window};
use crate::job::{Home, Job};
use crate::kernel::Reads;

/// What a plain loop works on. Empty where the job is none.
pub(super) struct Own {
    input: Window,
    operands: Window,
    result: Window,
    /// Where the results are wanted in the end.
    shared: *mut u8,
}

impl Own {
    /// Makes room, and copies the input there.
    ///
    /// # Safety
    /// An input in memory is n elements of the job's dtype, and `shared` is room for n results; both are mapped
    /// as long as this lives.
    #[expect(unsafe_code, reason = "copies the input")]
    pub(super) unsafe fn new(
        job: &Job,
        reads: Reads,
        from: InputFrom<'_>,
        shared: *mut u8,
    ) -> Result<Option<Self>, Stop> {
        if job.home == Home::Shared {
            return Ok(None);
        }
        let failed = || machine("cannot map memory for a plain loop");
        let too_long = || failed()(io::Error::from_raw_os_error(libc::ENOMEM));
        let room = |bytes: Option<u64>| -> Result<Window, Stop> {
            let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(too_long)?;
            Window::own(bytes).map_err(failed())
        };
        let bytes = job.size.checked_mul(job.dtype.size() as u64);
        let (mut input, result) = (Window::none(), room(bytes)?);
        if let (InputFrom::Memory { at, .. }, Reads::Input) = (from, reads) {
            input = room(bytes)?;
            // SAFETY: as many bytes each, by the caller's promise and just mapped.
            unsafe { std::ptr::copy_nonoverlapping(at, arrays::start(&input), input.len()) };
        }
        let operands = room(arrays::operand_bytes(reads, job.size, job.dtype))?;
        Ok(Some(Self { input, operands, result, shared }))
    }

    /// Returns where the loop finds input, operands and results.
    pub(super) fn starts<'a>(&self, from: InputFrom<'a>) -> (InputFrom<'a>, *mut u8, *mut u8) {
        let input = match from {
            InputFrom::Memory { order, .. } if self.input.len() > 0 => {
                InputFrom::Memory { at: arrays::start(&self.input).cast_const(), order }
            }
            other => other,
        };
        (input, arrays::start(&self.operands), arrays::start(&self.result))
    }

    /// Copies the results to where they are wanted.
    #[expect(unsafe_code, reason = "copies the results")]
    pub(super) fn hand_over(&self) -> Result<(), Stop> {
        let bytes = self.result.len();
        // SAFETY: n results of a shared writable mapping: the promise of `new`.
        let populated = unsafe { map::populate(self.shared, bytes) };
        populated.map_err(machine("there is no room for the results"))?;
        // SAFETY: as many bytes each, and the loop's are nobody else's; the one rank holds the only lease.
        unsafe { std::ptr::copy_nonoverlapping(arrays::start(&self.result), self.shared, bytes) };
        Ok(())
    }
}
