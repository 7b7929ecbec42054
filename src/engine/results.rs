//! The results of a finished run, for whoever shows, compares or writes them.

use std::io::{self, Write};

use super::verify::with_arrays;
use super::world::World;
use crate::arrays::text;
use crate::data::{DType, Scalar, write_lines, write_png, write_rows};
use crate::error::Error;
use crate::host::map::Window;
use crate::with_dtype;

/// How many elements are copied out at a time.
const BATCH: u64 = 64 * 1024;

/// The result array. Every rank has left, so nobody writes it any more.
pub(crate) struct Results {
    world: World,
    /// The array, where the output file holds it; else it is the segment's.
    window: Option<Window>,
}

impl Results {
    pub(super) fn new(world: World, window: Option<Window>) -> Self {
        Self { world, window }
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(super) fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    pub(super) fn array(&self) -> *const u8 {
        let segment = || self.world.segment.result();
        self.window.as_ref().map_or_else(segment, Window::as_ptr).cast_const()
    }

    pub(crate) fn len(&self) -> u64 {
        self.world.plan.size()
    }

    pub(crate) fn dtype(&self) -> DType {
        self.world.plan.job.dtype
    }

    /// Copies a range of results out, as far as there are any.
    ///
    /// # Panics
    /// If `T` is not their type.
    #[expect(unsafe_code, reason = "reads the result array")]
    pub(crate) fn copy<T: Scalar>(&self, range: std::ops::Range<u64>) -> Vec<T> {
        assert!(T::DTYPE == self.dtype(), "results are {}, not {}", self.dtype(), T::DTYPE);
        let end = range.end.min(self.len());
        let len = usize::try_from(end.saturating_sub(range.start)).unwrap_or(0);
        let skip = usize::try_from(range.start).unwrap_or(usize::MAX);
        let mut values = Vec::with_capacity(len);
        if len > 0 {
            let from = self.array().cast::<T>().wrapping_add(skip);
            // SAFETY: `len` elements from there on lie in the array, aligned; every rank has left.
            unsafe { std::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), len) };
            // SAFETY: that many were just written; any bytes are a value.
            unsafe { values.set_len(len) };
        }
        values
    }

    /// Returns one result as text.
    pub(crate) fn text(&self, index: u64) -> String {
        with_dtype!(self.dtype(), T => {
            self.copy::<T>(index..index + 1).first().map_or(String::new(), |&value| text(value))
        })
    }

    /// Calls `show` with the text of each input and its result, in index order, until it fails.
    pub(crate) fn each_text<E>(
        &self,
        mut show: impl FnMut(&str, &str) -> Result<(), E>,
    ) -> Result<Result<(), E>, Error> {
        with_arrays(self, |arrays| {
            for at in 0..self.len() {
                let input = arrays.input_text(at).map_err(|error| Error::failed(error.message))?;
                if let Err(error) = show(&input, &self.text(at)) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        })
    }

    fn batches(&self) -> impl Iterator<Item = std::ops::Range<u64>> + use<> {
        let len = self.len();
        (0..len).step_by(BATCH as usize).map(move |first| first..len.min(first + BATCH))
    }

    /// Writes all results, one a line.
    pub(crate) fn write_lines(&self, out: &mut impl Write) -> io::Result<()> {
        with_dtype!(self.dtype(), T => {
            for batch in self.batches() {
                write_lines(&self.copy::<T>(batch), out)?;
            }
        });
        Ok(())
    }

    /// Writes all results as comma-separated rows: a table keeps its columns, all else is a column.
    pub(crate) fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        let columns = match self.world.plan.shape.dims() {
            [_, .., columns] => *columns,
            _ => 1,
        };
        if columns == 0 {
            return Ok(());
        }
        with_dtype!(self.dtype(), T => {
            let rows = (BATCH / columns).max(1) * columns;
            let mut first = 0;
            while first < self.len() {
                let end = self.len().min(first + rows);
                write_rows(&self.copy::<T>(first..end), usize::try_from(columns).unwrap_or(1), out)?;
                first = end;
            }
        });
        Ok(())
    }

    /// Draws all results, if they are a picture.
    pub(crate) fn write_png(&self, out: &mut impl Write) -> io::Result<()> {
        let plan = &self.world.plan;
        let Some(picture) = plan.kernel.picture(&plan.params) else { return Ok(()) };
        let setting = plan.job.setting(&plan.params);
        with_dtype!(self.dtype(), T => {
            let values = self.batches().flat_map(|batch| self.copy::<T>(batch));
            let colours = values.map(|value| (picture.colour)(&setting, value.to_f64()));
            write_png(out, picture.width, picture.height, colours)
        })
    }

    /// Hashes the array's bytes: equal for every number of ranks, schedule and chunk.
    pub(crate) fn digest(&self) -> String {
        let mut hash = blake3::Hasher::new();
        with_dtype!(self.dtype(), T => {
            for batch in self.batches() {
                let mut bytes = Vec::with_capacity(BATCH as usize * size_of::<T>());
                self.copy::<T>(batch).iter().for_each(|value| value.append_bytes(&mut bytes));
                hash.update(&bytes);
            }
        });
        format!("blake3:{}", hash.finalize().to_hex())
    }
}
