//! Verification: a serial recomputation, compared bit for bit.

use super::collect::traced;
use super::orders::Orders;
use super::results::Results;
use crate::arrays::{Arrays, BLOCK_BYTES, InputFrom, OperandsFrom, text};
use crate::data::{Scalar, Source};
use crate::error::{Error, Explained};
use crate::job::InputAt;
use crate::kernel::Context;
use crate::options::Verify;
use crate::panics::caught;
use crate::schedule::Chunk;
use crate::with_dtype;

/// About how many blocks a sample has.
const SAMPLE: u64 = 1000;

/// Recomputes what was asked for and compares; an error names the first index that differs.
///
/// What is `missing` is not computed here either: it may be what kills every process that tries, and
/// this one is the launcher.
pub(super) fn verify(results: &Results, missing: &[Chunk], orders: &Orders) -> Result<(), Error> {
    let plan = &results.world().plan;
    let len = results.len();
    let block = (BLOCK_BYTES / results.dtype().size()) as u64;
    let stride = match plan.verify {
        Verify::None => return Ok(()),
        Verify::Full => block,
        Verify::Sample => (len / SAMPLE).next_multiple_of(block).max(block),
    };
    with_arrays(results, |arrays| {
        let last = len.saturating_sub(1) / block * block;
        let firsts = (0..len).step_by(usize::try_from(stride).unwrap_or(usize::MAX));
        for first in firsts.chain((len > 0).then_some(last)) {
            orders.check()?;
            for part in without(&(first..len.min(first + block)), missing) {
                compare(results, arrays, &part)?;
            }
        }
        Ok(())
    })
}

/// Returns what is left of a range without others, which are sorted and apart.
fn without(range: &Chunk, others: &[Chunk]) -> Vec<Chunk> {
    let mut parts = Vec::new();
    let mut from = range.start;
    for other in others.iter().filter(|other| other.end > range.start && other.start < range.end) {
        parts.push(from..other.start);
        from = other.end;
    }
    parts.push(from..range.end);
    parts.retain(|part| part.start < part.end);
    parts
}

/// Gives `use_arrays` this process's view of the inputs.
#[expect(unsafe_code, reason = "typed access to the input window")]
pub(super) fn with_arrays<R>(
    results: &Results,
    use_arrays: impl FnOnce(&mut Arrays<'_>) -> Result<R, Error>,
) -> Result<R, Error> {
    let world = results.world();
    let input = match (&world.plan.input.source, world.plan.job.input) {
        // Read, not mapped: a file that shrinks meanwhile must not end the launcher, whose process
        // may be anybody's, by SIGBUS.
        (Source::File { file, .. }, InputAt::File { offset, order }) => {
            InputFrom::File { file, offset, order }
        }
        _ => InputFrom::of(&world.plan.job, world.segment.source().cast_const()),
    };
    let reads = world.plan.kernel.reads();
    let operands = OperandsFrom::made(reads);
    let result = results.array().cast_mut();
    // SAFETY: an input in the segment is n elements, mapped until this function returns; results are
    // not written through this view.
    let mut arrays = unsafe { Arrays::new(&world.plan.job, reads, input, operands, result) };
    use_arrays(&mut arrays)
}

#[expect(unsafe_code, reason = "recomputes into a buffer of its own")]
fn compare(results: &Results, arrays: &mut Arrays<'_>, block: &Chunk) -> Result<(), Error> {
    let plan = &results.world().plan;
    let context =
        Context { setting: plan.job.setting(&plan.params), rank: 0, pid: std::process::id() };
    with_dtype!(results.dtype(), T => {
        let found = results.copy::<T>(block.clone());
        let mut expected = found.clone();
        expected.fill(T::from_i128(0));
        let buffer = expected.as_mut_ptr().cast();
        // SAFETY: the buffer has the block's length, and is this function's alone.
        let run = || unsafe { arrays.compute(plan.kernel, context, block, buffer) };
        match caught(run) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let what = format!("verification could not recompute: {}", error.message);
                return Err(traced(results.world(), Error::failed(what)));
            }
            Err(said) => {
                return Err(Error::failed(format!("the kernel panicked during verification: {said}")));
            }
        }
        let differs = found.iter().zip(&expected).position(|(a, b)| !a.same_bits(*b));
        match differs {
            None => Ok(()),
            Some(at) => Err(Error::Wrong(
                Explained::new(format!(
                    "result is wrong: kernel `{}` at index {}: found {}, a serial run gives {}",
                    plan.kernel.name(), block.start + at as u64, text(found[at]), text(expected[at]),
                ))
                .hint("does the kernel depend on anything but its input, parameters and seed?"),
            )),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_without_others_is_the_rest_in_order() {
        assert_eq!(without(&(10..20), &[]), [10..20]);
        assert_eq!(without(&(10..20), &[0..10, 20..30]), [10..20]);
        assert_eq!(without(&(10..20), &[0..12, 15..16, 19..30]), [12..15, 16..19]);
        assert_eq!(without(&(10..20), &[0..30]), []);
    }
}
