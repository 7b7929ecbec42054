//! The bytes of a checkpoint file.
//!
//! ```text
//!      0  head      magic "SPMDCKPT", version u32, 0 u32, then sealed: what run this is of
//!  64 Ki  run       live u64; at 4 KiB, sealed: boot, pid and partition of the last run
//! 128 Ki  records   three slots of 640 KiB, each sealed: sequence number, ranges left
//!   2 Mi  words     what is left out, claim words: `shm::Words`, mapped by all
//!   4 Mi  result    the result array, mapped by all
//! ```
//!
//! *Sealed* is a length u64, a BLAKE3 of what follows, and that many bytes: a block that was not written
//! whole is not there. Numbers are in this machine's order, as the results are. What is read is believed
//! only as far as it was checked.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use crate::schedule::{Chunk, Partition};

/// Where the parts begin.
const HEAD: u64 = 0;
const RUN: u64 = 64 << 10;
const RUN_BODY: u64 = RUN + 4096;
const RECORDS: u64 = 128 << 10;
pub(crate) const WORDS: u64 = 2 << 20;
pub(crate) const RESULT: u64 = 4 << 20;

const HEAD_BYTES: u64 = RUN - HEAD;
const RUN_BODY_BYTES: u64 = RECORDS - RUN_BODY;
const RECORD_BYTES: u64 = (WORDS - RECORDS) / SLOTS;
/// The room for words: those of the largest world fit.
pub(super) const WORDS_BYTES: u64 = RESULT - WORDS;

/// Slots for records: one that the claim words count from, and two that are written in turn.
pub(super) const SLOTS: u64 = 3;
/// As many ranges as a record names. Where more are left, those with the smallest gaps are joined.
pub(super) const RANGES: usize = 40_000;

const _: () = assert!((RANGES as u64 + 2) * 16 + SEAL < RECORD_BYTES);

const MAGIC: [u8; 8] = *b"SPMDCKPT";
const VERSION: u32 = 1;
const PREFIX: u64 = 16;
const SEAL: u64 = 8 + 32;

/// What run a checkpoint is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Length of the file.
    pub(super) bytes: u64,
    /// Indices.
    pub(super) size: u64,
    /// What has to be the same, by name.
    pub(super) identity: Vec<(String, String)>,
}

/// The last run that worked on a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LastRun {
    /// Which start of which machine it ran in; `None` if that is not known.
    pub(super) boot: Option<String>,
    pub(super) pid: u32,
    /// What the claim words count.
    pub(super) partition: Partition,
}

/// What was left at one moment; all else was finished, and on disk before this was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) number: u64,
    pub(super) left: Vec<Chunk>,
}

/// Why a file is not a checkpoint that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It never was one.
    Foreign,
    /// It is of another version.
    Version(u32),
    /// It was one.
    Damaged(&'static str),
}

fn sealed(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + SEAL as usize);
    bytes.extend((body.len() as u64).to_ne_bytes());
    bytes.extend(blake3::hash(body).as_bytes());
    bytes.extend(body);
    bytes
}

/// Reads a sealed block of at most `most` bytes, seal included; `None` if there is none.
fn unsealed(file: &File, at: u64, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut seal = [0; SEAL as usize];
    if !read_whole(file, &mut seal, at)? {
        return Ok(None);
    }
    let length = word(&seal, 0);
    if length > most - SEAL {
        return Ok(None);
    }
    let mut body = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    let whole = read_whole(file, &mut body, at + SEAL)?;
    Ok((whole && blake3::hash(&body).as_bytes()[..] == seal[8..]).then_some(body))
}

/// Fills `into`; false if the file ends before.
fn read_whole(file: &File, into: &mut [u8], at: u64) -> io::Result<bool> {
    match file.read_exact_at(into, at) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the number at 8 bytes of `bytes`; 0 where there are none.
fn word(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_ne_bytes)
}

fn too_large(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what} is too large to be written down"))
}

fn json(value: &impl Serialize, most: u64, what: &str) -> io::Result<Vec<u8>> {
    let bytes = sealed(&serde_json::to_vec(value).map_err(io::Error::other)?);
    if bytes.len() as u64 > most { Err(too_large(what)) } else { Ok(bytes) }
}

pub(super) fn write_head(file: &File, head: &Head) -> io::Result<()> {
    let body = json(head, HEAD_BYTES - PREFIX, "what the run is")?;
    file.write_all_at(&body, HEAD + PREFIX)?;
    file.write_all_at(&VERSION.to_ne_bytes(), HEAD + 8)?;
    file.write_all_at(&MAGIC, HEAD)
}

pub(super) fn read_head(file: &File) -> io::Result<Result<Head, Unusable>> {
    let mut prefix = [0; PREFIX as usize];
    if !read_whole(file, &mut prefix, HEAD)? || prefix[..8] != MAGIC {
        return Ok(Err(Unusable::Foreign));
    }
    let version = u32::try_from(word(&prefix, 8)).unwrap_or(u32::MAX);
    if version != VERSION {
        return Ok(Err(Unusable::Version(version)));
    }
    let body = unsealed(file, HEAD + PREFIX, HEAD_BYTES - PREFIX)?;
    let head = body.and_then(|body| serde_json::from_slice::<Head>(&body).ok());
    let Some(head) = head else { return Ok(Err(Unusable::Damaged("its head cannot be read"))) };
    if head.bytes != file.metadata()?.len() {
        return Ok(Err(Unusable::Damaged("it is not as long as it was")));
    }
    Ok(Ok(head))
}

/// Says which record the claim words count from; 0: they say nothing.
pub(super) fn write_live(file: &File, record: u64) -> io::Result<()> {
    file.write_all_at(&record.to_ne_bytes(), RUN)
}

pub(super) fn read_live(file: &File) -> io::Result<u64> {
    let mut live = [0; 8];
    Ok(if read_whole(file, &mut live, RUN)? { u64::from_ne_bytes(live) } else { 0 })
}

pub(super) fn write_run(file: &File, run: &LastRun) -> io::Result<()> {
    file.write_all_at(&json(run, RUN_BODY_BYTES, "the run")?, RUN_BODY)
}

/// Reads what is known of the last run; `None` if there was none, or it is being written.
pub(super) fn read_run(file: &File) -> io::Result<Option<LastRun>> {
    let body = unsealed(file, RUN_BODY, RUN_BODY_BYTES)?;
    let run = body.and_then(|body| serde_json::from_slice::<LastRun>(&body).ok());
    Ok(run.filter(|run| run.partition.is_sound()))
}

fn slot_at(slot: u64) -> u64 {
    RECORDS + slot * RECORD_BYTES
}

pub(super) fn write_record(file: &File, slot: u64, record: &Written) -> io::Result<()> {
    if record.left.len() > RANGES {
        return Err(too_large("what is left"));
    }
    let numbers = [record.number, record.left.len() as u64];
    let ranges = record.left.iter().flat_map(|range| [range.start, range.end]);
    let body: Vec<u8> = numbers.into_iter().chain(ranges).flat_map(u64::to_ne_bytes).collect();
    file.write_all_at(&sealed(&body), slot_at(slot))
}

/// Makes a slot one that holds no record.
pub(super) fn wipe_record(file: &File, slot: u64) -> io::Result<()> {
    file.write_all_at(&[0xff; SEAL as usize], slot_at(slot))
}

/// Reads a record of a run of `size` indices; `None` if there is none in this slot.
pub(super) fn read_record(file: &File, slot: u64, size: u64) -> io::Result<Option<Written>> {
    let Some(body) = unsealed(file, slot_at(slot), RECORD_BYTES)? else { return Ok(None) };
    let numbers: Vec<u64> = body.chunks_exact(8).map(|bytes| word(bytes, 0)).collect();
    let [number, count, ranges @ ..] = numbers.as_slice() else { return Ok(None) };
    let left: Vec<Chunk> = ranges.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
    let sorted = left.windows(2).all(|pair| pair[0].end < pair[1].start)
        && left.iter().all(|range| range.start < range.end)
        && left.last().is_none_or(|last| last.end <= size);
    let sound = sorted && *number > 0 && *count == left.len() as u64 && ranges.len() % 2 == 0;
    Ok(sound.then_some(Written { number: *number, left }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::{MAX_PROCS, Words};

    fn file() -> File {
        let path = std::env::temp_dir().join(format!(
            "spmd-bytes-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }

    fn head(bytes: u64) -> Head {
        Head { bytes, size: 100, identity: vec![("seed".to_owned(), "1".to_owned())] }
    }

    #[test]
    fn there_is_room_for_the_words_of_the_largest_world() {
        assert!(Words::bytes(MAX_PROCS, MAX_PROCS).unwrap() as u64 <= WORDS_BYTES);
    }

    #[test]
    fn a_head_is_read_back_or_told_apart_from_what_is_none() {
        let file = file();
        assert_eq!(read_head(&file).unwrap(), Err(Unusable::Foreign));
        file.set_len(RESULT).unwrap();
        assert_eq!(read_head(&file).unwrap(), Err(Unusable::Foreign));
        write_head(&file, &head(RESULT)).unwrap();
        assert_eq!(read_head(&file).unwrap(), Ok(head(RESULT)));
        file.set_len(RESULT - 1).unwrap();
        assert!(matches!(read_head(&file).unwrap(), Err(Unusable::Damaged(_))));
        file.set_len(RESULT).unwrap();
        for at in 0..100 {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1], at).unwrap();
            assert!(read_head(&file).unwrap().is_err(), "byte {at}");
            file.write_all_at(&byte, at).unwrap();
        }
        assert!(read_head(&file).unwrap().is_ok());
    }

    #[test]
    fn a_record_that_is_not_whole_is_none() {
        let file = file();
        let record = Written { number: 7, left: vec![0..5, 9..100] };
        assert_eq!(read_record(&file, 2, 100).unwrap(), None);
        write_record(&file, 2, &record).unwrap();
        assert_eq!(read_record(&file, 2, 100).unwrap(), Some(record.clone()));
        assert_eq!(read_record(&file, 2, 99).unwrap(), None, "beyond the index space");
        assert_eq!(read_record(&file, 1, 100).unwrap(), None);
        for at in 0..SEAL + 6 * 8 {
            let mut byte = [0];
            file.read_exact_at(&mut byte, slot_at(2) + at).unwrap();
            file.write_all_at(&[byte[0] ^ 0x10], slot_at(2) + at).unwrap();
            assert_eq!(read_record(&file, 2, 100).unwrap(), None, "byte {at}");
            file.write_all_at(&byte, slot_at(2) + at).unwrap();
        }
        wipe_record(&file, 2).unwrap();
        assert_eq!(read_record(&file, 2, 100).unwrap(), None);
        for left in [vec![5..5], vec![9..10, 0..5], vec![0..5, 4..9]] {
            write_record(&file, 0, &Written { number: 1, left }).unwrap();
            assert_eq!(read_record(&file, 0, 100).unwrap(), None);
        }
    }

    #[test]
    fn the_longest_record_fits_its_slot() {
        let file = file();
        let left = |count: u64| (0..count).map(|at| 2 * at..2 * at + 1).collect();
        let longest = Written { number: 1, left: left(RANGES as u64) };
        write_record(&file, 0, &longest).unwrap();
        write_record(&file, 1, &longest).unwrap();
        assert_eq!(read_record(&file, 0, 1 << 40).unwrap(), Some(longest));
        let beyond = Written { number: 1, left: left(RANGES as u64 + 1) };
        assert!(write_record(&file, 0, &beyond).is_err());
    }
}
