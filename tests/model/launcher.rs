//! Deaths, and what the launcher does about them.

use crate::protocol::{Asks, Broken, Model};
use crate::words::{At, Launcher, Lease, OLD, PROCESSES, State, Step, Who, bit, small};

/// The steps that the launcher may take from a state.
struct LauncherSteps<'a> {
    state: &'a State,
    found: &'a mut Vec<Step>,
}

impl LauncherSteps<'_> {
    fn step(
        &mut self,
        who: Who,
        what: &'static str,
        to: Launcher,
        change: impl FnOnce(&mut State),
    ) {
        let mut next = *self.state;
        next.launcher = to;
        change(&mut next);
        self.found.push(Step { who, what, state: next });
    }
}

impl Model {
    /// The death of a process, or what the launcher takes for one.
    pub(crate) fn death(&self, state: &State, process: usize, found: &mut Vec<Step>) {
        let mut next = *state;
        let what = if process == OLD {
            next.at[OLD] = At::Dead;
            "dies at last"
        } else if state.deaths >= self.deaths {
            return;
        } else if self.broken == Broken::LivingGivenUp {
            for slot in next.slots.iter_mut().filter(|slot| slot.lease.run_by(process)) {
                slot.lease = Lease::Orphan { ticket: slot.lease.ticket() };
            }
            "is slow and taken for dead, its slots are given up"
        } else if self.broken == Broken::LivingReplaced {
            if state.at[OLD].alive() {
                return;
            }
            next.at[OLD] = state.at[process];
            next.phase[OLD] = state.phase[process];
            next.old = small(process);
            next.at[process] = self.started();
            "is told to end, and started again at once"
        } else {
            next.at[process] = At::Dead;
            next.phase[process] = 0;
            "dies"
        };
        next.deaths += 1;
        found.push(Step { who: Who::Process(process), what, state: next });
    }

    pub(crate) fn launcher_steps(&self, state: &State, found: &mut Vec<Step>) {
        let mut steps = LauncherSteps { state, found };
        match state.launcher {
            Launcher::Watching => {
                for process in 0..PROCESSES {
                    match state.at[process] {
                        At::Dead => self.give_up_steps(state, process, &mut steps),
                        At::Gone
                            if self.passes > 1
                                && self.asks == Asks::Launcher
                                && process < self.ranks =>
                        {
                            Self::gone_steps(state, process, &mut steps);
                        }
                        _ => {}
                    }
                }
            }
            Launcher::GivingUp { slot, ticket } => {
                steps.step(Who::Launcher, "gives it up", Launcher::Watching, |s| {
                    s.slots[usize::from(slot)].lease = Lease::Orphan { ticket };
                });
            }
            Launcher::Late { rank } => {
                let rank = usize::from(rank);
                let who = Who::LauncherOf(rank);
                match state.slots.iter().position(|slot| slot.lease.run_by(rank)) {
                    Some(slot) => steps.step(who, "gives a slot up", state.launcher, |s| {
                        let ticket = s.slots[slot].lease.ticket();
                        s.slots[slot].lease = Lease::Orphan { ticket };
                    }),
                    None => steps.step(who, "has given everything up", Launcher::Watching, |_| {}),
                }
            }
        }
    }

    /// What the launcher does once a death is confirmed. Nobody else writes to what is RUN by the
    /// dead: to find such a slot and to give it up may be one step.
    fn give_up_steps(&self, state: &State, process: usize, steps: &mut LauncherSteps<'_>) {
        let rank = if process == OLD { usize::from(state.old) } else { process };
        let who = Who::LauncherOf(process);
        let had_arrived = state.arrived & bit(rank) != 0;
        if process != OLD && self.broken == Broken::ReplacedBeforeGivenUp {
            if !had_arrived {
                steps.step(who, "starts it again", Launcher::Late { rank: small(rank) }, |s| {
                    s.at[process] = self.started();
                });
            }
            return;
        }
        if let Some(slot) = state.slots.iter().position(|slot| slot.lease.run_by(rank)) {
            steps.step(who, "gives a slot up", Launcher::Watching, |s| {
                let ticket = s.slots[slot].lease.ticket();
                s.slots[slot].lease = Lease::Orphan { ticket };
            });
            return;
        }
        if self.broken == Broken::OrphanOfRankZero && rank == 0 {
            for (number, slot) in (0..).zip(&state.slots) {
                if let Lease::Orphan { ticket } = slot.lease {
                    let to = Launcher::GivingUp { slot: number, ticket };
                    steps.step(who, "takes an orphan for one of its slots", to, |_| {});
                }
            }
        }
        let again = match self.broken {
            _ if process == OLD => false,
            Broken::NotReplaced => false,
            _ if self.asks == Asks::Replacement => true,
            Broken::ReplacedAfterArrival | Broken::ArrivesLate => true,
            // With two passes there is more to look at.
            _ => self.passes == 1 && !had_arrived,
        };
        let what = if again { "starts it again" } else { "has given everything up" };
        steps.step(who, what, Launcher::Watching, |s| {
            s.at[process] = if again { self.started() } else { At::Gone };
            if self.broken == Broken::NotReplaced {
                s.arrived |= bit(rank);
            }
        });
    }

    /// What the launcher does about a rank that is dead and given up, when there is another phase.
    fn gone_steps(state: &State, rank: usize, steps: &mut LauncherSteps<'_>) {
        if state.arrived & bit(rank) == 0 {
            let what = "sees that it is missing, starts it again";
            steps.step(Who::LauncherOf(rank), what, Launcher::Watching, |s| {
                s.at[rank] = At::Start;
            });
        }
    }
}
