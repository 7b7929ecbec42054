//! The records of a checkpoint: three slots, one of which says what the claim words count from.
//!
//! A record is written into a slot that is neither that one nor the latest: whatever happens to it
//! meanwhile, both stay whole.

use std::fs::File;
use std::io;

use super::bytes::{self, SLOTS, Written};
use crate::schedule::Chunk;

/// The slots, as their one writer knows them.
#[derive(Debug)]
pub(super) struct Records {
    file: File,
    base: Place,
    latest: Place,
    /// What the latest says.
    left: Vec<Chunk>,
}

/// Which record, and in which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    number: u64,
    slot: u64,
}

impl Records {
    /// Writes the first record of a new file: all of `left` is left.
    pub(super) fn first(file: File, left: Vec<Chunk>) -> io::Result<Self> {
        let place = Place { number: 1, slot: 0 };
        bytes::write_record(&file, place.slot, &Written { number: 1, left: left.clone() })?;
        Ok(Self { file, base: place, latest: place, left })
    }

    /// Finds the records of a file; `live` is the one its claim words count from. `None`: there are none.
    pub(super) fn read(file: File, live: u64, size: u64) -> io::Result<Option<Self>> {
        let mut found = Vec::new();
        for slot in 0..SLOTS {
            if let Some(record) = bytes::read_record(&file, slot, size)? {
                found.push((Place { number: record.number, slot }, record.left));
            }
        }
        let base = found.iter().find(|(place, _)| place.number == live).map(|(place, _)| *place);
        let latest = found.into_iter().max_by_key(|(place, _)| place.number);
        Ok(latest.map(|(latest, left)| Self { file, base: base.unwrap_or(latest), latest, left }))
    }

    /// Returns the number of the record that claim words count from.
    pub(super) fn base(&self) -> u64 {
        self.base.number
    }

    /// Returns what the latest record says.
    pub(super) fn latest(&self) -> &[Chunk] {
        &self.left
    }

    /// Returns what the record says that claim words count from, if `live` is it and it can be read.
    pub(super) fn at_base(&self, live: u64, size: u64) -> io::Result<Option<Vec<Chunk>>> {
        if self.base.number != live {
            return Ok(None);
        }
        let record = bytes::read_record(&self.file, self.base.slot, size)?;
        Ok(record.filter(|record| record.number == live).map(|record| record.left))
    }

    /// Begins anew from what is left: makes that the only record, durably, and claim words say nothing.
    ///
    /// Whatever stops this half-way, the file says either what it said before or this.
    pub(super) fn rebase(&mut self, left: Vec<Chunk>) -> io::Result<()> {
        self.file.sync_data()?; // What was finished, before anything says so.
        let place = self.write(left)?;
        self.file.sync_data()?;
        bytes::write_live(&self.file, 0)?;
        self.base = place;
        for slot in (0..SLOTS).filter(|&slot| slot != place.slot) {
            bytes::wipe_record(&self.file, slot)?;
        }
        self.file.sync_data()
    }

    /// Writes another record, for claim words that count from `base`; says whether one was due.
    pub(super) fn next(&mut self, base: u64, left: Vec<Chunk>) -> io::Result<bool> {
        let due = base == self.base.number && left != self.left;
        if due {
            self.write(left)?;
        }
        Ok(due)
    }

    fn write(&mut self, left: Vec<Chunk>) -> io::Result<Place> {
        let used = [self.base.slot, self.latest.slot];
        let slot = (0..SLOTS).find(|slot| !used.contains(slot)).unwrap_or(0);
        let place = Place { number: self.latest.number.saturating_add(1), slot };
        bytes::write_record(
            &self.file,
            slot,
            &Written { number: place.number, left: left.clone() },
        )?;
        (self.latest, self.left) = (place, left);
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> File {
        let path = std::env::temp_dir().join(format!(
            "spmd-records-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }

    #[test]
    fn the_record_that_words_count_from_outlives_any_number_of_others() {
        let file = file();
        let again = || Records::read(file.try_clone().unwrap(), 1, 100).unwrap().unwrap();
        let mut records = Records::first(file.try_clone().unwrap(), vec![0..100]).unwrap();
        for done in 1..20 {
            assert!(records.next(1, vec![done..100]).unwrap());
            assert!(!records.next(1, vec![done..100]).unwrap(), "nothing is new");
            assert_eq!(again().latest(), [done..100]);
            assert_eq!(again().base(), 1);
            // The latest may be torn, and then it is the one before that counts.
            bytes::wipe_record(&file, records.latest.slot).unwrap();
            assert_eq!(again().latest(), [done - 1..100]);
            bytes::write_record(
                &file,
                records.latest.slot,
                &Written { number: records.latest.number, left: vec![done..100] },
            )
            .unwrap();
        }
        records.rebase(vec![50..100]).unwrap();
        assert_eq!(records.base(), 21);
        assert!(!records.next(1, vec![99..100]).unwrap(), "whose words are no longer there");
        assert_eq!((again().base(), again().latest()), (21, &[50..100][..]));
    }
}
