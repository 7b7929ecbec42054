//! A machine that is asked only once, for whoever plans many runs on it.

use std::cell::{OnceCell, RefCell};

use super::Machine;
use crate::error::Error;
use crate::host::affinity::CpuSet;
use crate::host::topology::Place;

/// Remembers what a machine has said. What changes later, an affinity mask or a quota, is not seen: all
/// runs that are planned with it are planned for the same machine.
#[derive(Debug, Default)]
pub(crate) struct Survey<M> {
    machine: M,
    allowed: OnceCell<CpuSet>,
    quota: OnceCell<Option<f64>>,
    /// Of each set of CPUs that was asked for: `--cpus` may differ from run to run.
    places: RefCell<Vec<(CpuSet, Vec<Place>)>>,
    sharing: RefCell<Vec<(u32, Option<CpuSet>)>>,
}

impl<M: Machine> Machine for Survey<M> {
    fn allowed(&self) -> Result<CpuSet, Error> {
        match self.allowed.get() {
            Some(allowed) => Ok(allowed.clone()),
            None => self.machine.allowed().map(|cpus| self.allowed.get_or_init(|| cpus).clone()),
        }
    }

    fn quota(&self) -> Option<f64> {
        *self.quota.get_or_init(|| self.machine.quota())
    }

    fn places(&self, cpus: &CpuSet) -> Vec<Place> {
        let mut known = self.places.borrow_mut();
        if let Some((_, places)) = known.iter().find(|(of, _)| of == cpus) {
            return places.clone();
        }
        let places = self.machine.places(cpus);
        known.push((cpus.clone(), places.clone()));
        places
    }

    fn sharing(&self, cpu: u32) -> Option<CpuSet> {
        let mut known = self.sharing.borrow_mut();
        if let Some((_, cpus)) = known.iter().find(|(of, _)| *of == cpu) {
            return cpus.clone();
        }
        let cpus = self.machine.sharing(cpu);
        known.push((cpu, cpus.clone()));
        cpus
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Counts how often it is asked.
    #[derive(Default)]
    struct Asked(Cell<u32>);

    impl Asked {
        fn again(&self) {
            self.0.set(self.0.get() + 1);
        }
    }

    impl Machine for Asked {
        fn allowed(&self) -> Result<CpuSet, Error> {
            self.again();
            "0-3".parse()
        }

        fn quota(&self) -> Option<f64> {
            self.again();
            None
        }

        fn places(&self, cpus: &CpuSet) -> Vec<Place> {
            self.again();
            cpus.iter().map(|cpu| Place { cpu, core: cpu, package: 0, node: 0 }).collect()
        }

        fn sharing(&self, _: u32) -> Option<CpuSet> {
            self.again();
            None
        }
    }

    #[test]
    fn a_machine_is_asked_each_question_once() {
        let survey = Survey::<Asked>::default();
        let cpus = |text: &str| text.parse::<CpuSet>().unwrap();
        for _ in 0..3 {
            assert_eq!(survey.allowed().unwrap(), cpus("0-3"));
            assert_eq!(survey.quota(), None);
            assert_eq!(survey.places(&cpus("0-3")).len(), 4);
            assert_eq!(survey.places(&cpus("1")).len(), 1);
            assert_eq!(survey.sharing(2), None);
        }
        assert_eq!(survey.machine.0.get(), 5);
    }
}
