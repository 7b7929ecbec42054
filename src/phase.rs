//! What a rank does between two barriers, as a function of the barrier's epoch.
//!
//! Every pass is preparation, perhaps the kernel's serial share, and computation; a barrier closes each.
//! So the epoch says which part a run is in: that is how a rank that was started again knows where to
//! begin. Its number's former process did not arrive in this epoch (else it would not have been started
//! yet), so the epoch cannot move before it has done this part itself.

/// One part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Slices are made ready, and claims are made free again.
    Prepare {
        /// The pass that follows.
        pass: u64,
    },
    /// Rank 0 does the kernel's serial share.
    Serial,
    /// Chunks are claimed and computed.
    Compute {
        /// Which pass this is.
        pass: u64,
    },
    /// Nothing is left to be done.
    Over,
}

impl Phase {
    /// Returns the part that a barrier of this epoch closes.
    pub(crate) fn at(epoch: u32, passes: u64, serial: bool) -> Self {
        let parts = if serial { 3 } else { 2 };
        let (pass, part) = (u64::from(epoch) / parts, u64::from(epoch) % parts);
        match part {
            _ if pass >= passes => Self::Over,
            0 => Self::Prepare { pass },
            1 if serial => Self::Serial,
            _ => Self::Compute { pass },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_the_same_parts_for_each_pass() {
        let parts = |passes, serial| -> Vec<Phase> {
            (0..)
                .map(|epoch| Phase::at(epoch, passes, serial))
                .take_while(|&p| p != Phase::Over)
                .collect()
        };
        use Phase::{Compute, Prepare, Serial};
        assert_eq!(
            parts(2, false),
            [Prepare { pass: 0 }, Compute { pass: 0 }, Prepare { pass: 1 }, Compute { pass: 1 }]
        );
        assert_eq!(parts(1, true), [Prepare { pass: 0 }, Serial, Compute { pass: 0 }]);
    }
}
