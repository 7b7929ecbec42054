//! The search: every state that can be reached, and from which of them a right end can be.

use std::fmt::{Debug, Display};
use std::hash::{Hash, Hasher};
use std::time::Instant;

/// What is searched: states, the steps between them, and what must hold in each.
pub(crate) trait Searched: Debug {
    type State: Copy + Eq + Hash + Debug;
    type Step: Display;

    fn initial(&self) -> Self::State;

    /// Everything that may happen next.
    fn steps(&self, state: &Self::State, found: &mut Vec<Self::Step>) -> Result<(), Stuck>;

    /// What a step leads to, by the numbers under which it is kept.
    fn after(&self, step: &Self::Step) -> Self::State;

    /// Whether the words pass the audit.
    fn audit(&self, state: &Self::State) -> bool;

    /// Whether every element holds its effect exactly once, where there is anything to say.
    fn right(&self, state: &Self::State) -> bool;

    /// Whether the last pass is over: what the results are taken on.
    fn over(&self, state: &Self::State) -> bool;

    /// Whether a pass is over, so that the audit must not refuse it.
    fn pass_over(&self, state: &Self::State) -> bool;

    /// Whether something is so that may never be.
    fn forbidden(&self, state: &Self::State) -> bool;
}

/// A step that has to be taken and cannot.
#[derive(Debug)]
pub(crate) struct Stuck;

/// What a search found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) right_ends: usize,
    /// States whose words pass the audit over results that are not right.
    lies: usize,
    /// Ends of a pass that the audit refuses.
    refused: usize,
    /// States in which something is so that may never be.
    forbidden: usize,
    /// Steps that cannot be taken: a claimer without a slot.
    stuck: usize,
    /// States from which no right end is reachable.
    lost: usize,
    /// How the first of them came about.
    pub(crate) trace: String,
}

impl Found {
    pub(crate) fn violations(&self) -> usize {
        self.lies + self.refused + self.forbidden + self.stuck + self.lost
    }
}

/// Multiply and rotate: a state is some seventy small numbers, and nobody chooses them to collide.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u8(byte));
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }
}

const EMPTY: u32 = u32::MAX;

/// The states, in the order they were found: along a shortest trace numbers only grow.
pub(crate) struct Graph<S> {
    pub(crate) states: Vec<S>,
    parents: Vec<u32>,
    /// A hash table of numbers of states, a power of two long and at most half full.
    table: Vec<u32>,
    /// Where the steps of each state lead to, one state after the other.
    edges: Vec<u32>,
    /// Where each state's edges begin.
    begins: Vec<usize>,
}

impl<S: Copy + Eq + Hash + Debug> Graph<S> {
    fn new() -> Self {
        Self {
            states: Vec::new(),
            parents: Vec::new(),
            table: vec![EMPTY; 1 << 10],
            edges: Vec::new(),
            begins: vec![0],
        }
    }

    /// Where in the table a state is, or would be.
    fn place(&self, state: &S) -> usize {
        let mut hash = Mix::default();
        state.hash(&mut hash);
        let mask = self.table.len() - 1;
        let mut place = hash.finish() as usize & mask;
        while self.table[place] != EMPTY && self.states[self.table[place] as usize] != *state {
            place = (place + 1) & mask;
        }
        place
    }

    fn add(&mut self, state: &S, parent: u32) -> u32 {
        let place = self.place(state);
        if self.table[place] != EMPTY {
            return self.table[place];
        }
        let number = u32::try_from(self.states.len()).unwrap();
        self.table[place] = number;
        self.states.push(*state);
        self.parents.push(parent);
        if self.states.len() * 2 > self.table.len() {
            self.table = vec![EMPTY; self.table.len() * 2];
            for number in 0..self.states.len() {
                let place = self.place(&self.states[number]);
                self.table[place] = number as u32;
            }
        }
        number
    }

    fn edges_of(&self, number: usize) -> &[u32] {
        &self.edges[self.begins[number]..self.begins[number + 1]]
    }

    fn trace(&self, model: &impl Searched<State = S>, mut at: u32) -> String {
        let mut path = vec![at];
        while at != 0 {
            at = self.parents[at as usize];
            path.push(at);
        }
        path.reverse();
        let mut text = String::new();
        for pair in path.windows(2) {
            let mut next = Vec::new();
            let _ = model.steps(&self.states[pair[0] as usize], &mut next);
            let to = &self.states[pair[1] as usize];
            let step = next.iter().find(|step| model.after(step) == *to);
            text.push_str("\n  ");
            text.push_str(&step.map_or_else(|| "?".to_owned(), ToString::to_string));
        }
        format!("{text}\n  => {:?}", self.states[*path.last().unwrap() as usize])
    }

    /// Which states reach one of `ends`: again and again from the last to the first, until nothing
    /// changes. Few edges lead back to an earlier state, so few rounds are needed.
    fn reaching(&self, ends: &[u32]) -> Vec<bool> {
        let mut reaches = vec![false; self.states.len()];
        for &end in ends {
            reaches[end as usize] = true;
        }
        let mut changed = true;
        while changed {
            changed = false;
            for number in (0..self.states.len()).rev() {
                if !reaches[number] && self.edges_of(number).iter().any(|&to| reaches[to as usize])
                {
                    reaches[number] = true;
                    changed = true;
                }
            }
        }
        reaches
    }
}

pub(crate) fn search<M: Searched>(model: &M) -> (Found, Graph<M::State>) {
    let begin = Instant::now();
    let mut found = Found::default();
    let mut graph = Graph::new();
    graph.add(&model.initial(), 0);
    let mut good = Vec::new();
    let mut first_bad = None;
    let mut next = Vec::new();
    let mut at = 0_u32;
    while (at as usize) < graph.states.len() {
        let state = graph.states[at as usize];
        let before = found.violations();
        let audit = model.audit(&state);
        let right = model.right(&state);
        found.lies += usize::from(audit && !right);
        found.forbidden += usize::from(model.forbidden(&state));
        found.refused += usize::from(model.pass_over(&state) && !audit);
        if model.over(&state) {
            if right && found.violations() == before {
                found.right_ends += 1;
                good.push(at);
            }
        } else {
            next.clear();
            found.stuck += usize::from(model.steps(&state, &mut next).is_err());
            for step in &next {
                let to = graph.add(&model.after(step), at);
                graph.edges.push(to);
            }
        }
        graph.begins.push(graph.edges.len());
        if found.violations() > before && first_bad.is_none() {
            first_bad = Some(at);
        }
        at += 1;
    }
    found.states = graph.states.len();
    let reaches = graph.reaching(&good);
    found.lost = reaches.iter().filter(|reaches| !**reaches).count();
    let lost = || reaches.iter().position(|reaches| !reaches).map(|at| at as u32);
    if let Some(at) = first_bad.or_else(lost) {
        found.trace = graph.trace(model, at);
    }
    // Shown with --nocapture.
    println!(
        "{:>8} states {:>5} right ends; {} lies, {} refused, {} forbidden, {} without slot, {} lost; \
         {:.1} s; {model:?}",
        found.states,
        found.right_ends,
        found.lies,
        found.refused,
        found.forbidden,
        found.stuck,
        found.lost,
        begin.elapsed().as_secs_f64(),
    );
    (found, graph)
}
