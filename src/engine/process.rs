//! A rank's process, as its launcher holds it, and how that hears that the rank is done.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::spawners::Spawner;
use crate::host::line::{Heard, Line, Order, SegmentAt};
use crate::host::procs::{self, Child, Ended};
use crate::host::recent::Recent;

/// A process that has closed its line is on its way out, or has lost it: then it is of no use.
const CLOSED_FOR: i32 = 100;

/// A rank's process that has not been reaped. Whoever lets go of one ends it first: [`end`].
#[derive(Debug)]
pub(super) struct Process {
    pub(super) child: Child,
    ends: Ends,
    /// The thread with which it dies, if it is not the one that watches: held for as long as this is.
    #[expect(dead_code, reason = "to hold it is all")]
    spawner: Option<Arc<Spawner>>,
    /// When it was started; `None` once it has shown that its program knows what a rank is.
    pub(super) began: Option<Instant>,
}

/// How a rank lets its launcher know that its part of a world is over.
#[derive(Debug)]
enum Ends {
    /// It exits.
    ByExit,
    /// It answers, and waits for the next order. It has the regions that it was sent last.
    ByAnswer(Line, Recent<()>),
}

impl Process {
    /// A process of one world.
    pub(super) fn once(child: Child) -> Self {
        Self { child, ends: Ends::ByExit, spawner: None, began: Some(Instant::now()) }
    }

    /// A process of a crew.
    pub(super) fn in_crew((child, line): (Child, Line)) -> Self {
        Self {
            child,
            ends: Ends::ByAnswer(line, Recent::default()),
            spawner: None,
            began: Some(Instant::now()),
        }
    }

    /// Keeps the thread that has started it, if another one has.
    pub(super) fn with(self, spawner: Option<Arc<Spawner>>) -> Self {
        Self { spawner, ..self }
    }

    /// Sends a process of a crew to a world. An error says that it will not follow.
    pub(super) fn order(&mut self, mut order: Order<BorrowedFd<'_>>) -> io::Result<()> {
        let Ends::ByAnswer(line, regions) = &mut self.ends else {
            return Ok(()); // It was born with its only order.
        };
        if let SegmentAt::New(_, number) = order.segment {
            if regions.find(number).is_some() {
                order.segment = SegmentAt::Known(number);
            } else {
                regions.add(number, ());
            }
        }
        line.order(&order)
    }

    /// Returns the line through which it answers.
    pub(super) fn line(&self) -> Option<&Line> {
        match &self.ends {
            Ends::ByAnswer(line, _) => Some(line),
            Ends::ByExit => None,
        }
    }

    /// Returns what it has answered since the last order: the status with which it would have exited.
    pub(super) fn answered(&mut self) -> Option<Ended> {
        let Ends::ByAnswer(line, _) = &self.ends else { return None };
        match line.heard() {
            Heard::Answer(status) => {
                self.began = None;
                Some(Ended::Exited(status.into()))
            }
            Heard::Nothing => None,
            Heard::End => {
                // It closes its line a moment before it can be reaped.
                let ended = procs::poll(&[self.child.pidfd.as_fd()], CLOSED_FOR);
                if !ended.is_ok_and(|ended| ended.contains(&true)) {
                    self.child.signal(libc::SIGKILL);
                }
                None
            }
        }
    }
}

/// Kills these processes and reaps them.
pub(super) fn end<'a>(processes: impl Iterator<Item = &'a Process> + Clone) {
    processes.clone().for_each(|process| process.child.signal(libc::SIGKILL));
    for Process { child, .. } in processes {
        // Bounded: a process that is stuck in the kernel must not hold up its launcher for ever.
        for _ in 0..50 {
            if child.reap().is_some() {
                break;
            }
            let _ = procs::poll(&[child.pidfd.as_fd()], 100); // Looks again either way.
        }
    }
}

/// Lets processes of a crew leave, which wait for an order, and reaps them.
pub(super) fn dismiss(processes: Vec<Process>) {
    /// Each of them has nothing to do but to exit; one that is stopped cannot.
    const WITHIN: Duration = Duration::from_millis(250);
    let until = Instant::now() + WITHIN;
    // The end of its line is what sends a rank away.
    let silent = |process: Process| Process { ends: Ends::ByExit, ..process };
    let mut left: Vec<Process> = processes.into_iter().map(silent).collect();
    while !left.is_empty() && Instant::now() < until {
        let descriptors: Vec<BorrowedFd<'_>> =
            left.iter().map(|process| process.child.pidfd.as_fd()).collect();
        if procs::poll(&descriptors, 10).is_err() {
            break;
        }
        left.retain(|process| process.child.reap().is_none());
    }
    end(left.iter());
}
