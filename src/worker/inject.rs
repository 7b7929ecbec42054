//! Strikes the faults that `--inject` asked for, in the rank they are meant for.
#![expect(unsafe_code, reason = "raises signals, and stores where nothing is mapped")]

use std::cell::Cell;
use std::time::Duration;

use crate::inject::{Action, Injection};
use crate::shm::{Header, Point, Probe};

/// The faults that may strike this rank.
pub(super) struct Injector<'a> {
    faults: Vec<Armed>,
    header: &'a Header,
    /// The number of the chunk this rank is in.
    chunk: Cell<Option<u64>>,
}

struct Armed {
    /// Its place among all faults of the run.
    number: usize,
    fault: Injection,
    /// How often its moment has come, in this process.
    seen: Cell<u64>,
}

impl<'a> Injector<'a> {
    pub(super) fn new(faults: &[Injection], rank: u32, header: &'a Header) -> Self {
        let faults = faults
            .iter()
            .take(Injection::MOST)
            .enumerate()
            .filter(|(_, fault)| fault.rank.is_none_or(|only| only == rank))
            .map(|(number, &fault)| Armed { number, fault, seen: Cell::new(0) })
            .collect();
        Self { faults, header, chunk: Cell::new(None) }
    }

    /// Says whether nothing can strike: then nobody needs to know chunk numbers, or to halve blocks.
    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// Says in which chunk this rank is from now on.
    pub(super) fn enter(&self, chunk: Option<u64>) {
        self.chunk.set(chunk);
    }

    #[cold]
    fn consider(&self, point: Point) {
        for Armed { number, fault, seen } in &self.faults {
            let here = match (fault.chunk, self.chunk.get()) {
                (None, _) => true,
                (Some(_), None) => false,
                // Which rank gets which chunk is decided by who comes first.
                (Some(from), Some(chunk)) if fault.rank.is_some() => chunk >= from,
                (Some(only), Some(chunk)) => chunk == only,
            };
            if fault.point != point || !here {
                continue;
            }
            seen.set(seen.get() + 1);
            if seen.get() > fault.nth && self.header.strike(*number, fault.times) {
                strike(fault.action);
            }
        }
    }
}

impl Probe for Injector<'_> {
    #[inline]
    fn at(&self, point: Point) {
        if !self.faults.is_empty() {
            self.consider(point);
        }
    }
}

/// Does to this process what the fault says.
pub(super) fn strike(action: Action) {
    match action {
        // SAFETY: no memory is involved; to this process.
        Action::Kill => unsafe {
            libc::raise(libc::SIGKILL);
        },
        // SAFETY: as above.
        Action::Stop => unsafe {
            libc::raise(libc::SIGSTOP);
        },
        Action::Segv => {
            let nowhere = std::ptr::without_provenance_mut::<u8>(0x10);
            // SAFETY: none, and that is the point: the store is a memory fault, in the first page,
            // which is never mapped. Volatile, so that the compiler cannot reason about it.
            unsafe { nowhere.write_volatile(1) };
        }
        Action::Abort => std::process::abort(),
        Action::Panic => panic!("injected"),
        Action::Hang => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        Action::Exit => std::process::exit(0),
    }
}
