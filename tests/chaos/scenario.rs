//! What is run, and what strikes it when: all of it from one seed.

use std::sync::OnceLock;

use crate::dice::Dice;

/// One run to be.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) work: Work,
    pub(crate) size: u64,
    pub(crate) input: Input,
    pub(crate) in_place: bool,
    pub(crate) output: Output,
    /// An output of that name is there before.
    pub(crate) replaces: bool,
    /// Everything else.
    arguments: String,
    /// In order of time.
    pub(crate) faults: Vec<Fault>,
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Work {
    Square,
    Collatz,
    /// Mean nanoseconds an index; whether they grow with it; whether rank 0 does a share alone.
    Spin {
        ns: u64,
        linear: bool,
        serial: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Indices,
    File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Npy,
    Txt,
    Nothing,
}

impl Output {
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Npy => Some("out.npy"),
            Self::Txt => Some("out.txt"),
            Self::Nothing => None,
        }
    }
}

/// Something from outside, so many microseconds after the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) at: u64,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// SIGKILL of one rank: of those there are, the one this number falls on.
    Kill(u64),
    /// SIGKILL of every rank there is.
    KillAll,
    /// SIGSTOP of one rank.
    Stop(u64),
    /// SIGCONT of every rank that was stopped.
    Continue,
    /// SIGTERM of the launcher.
    Terminate,
    /// SIGKILL of the launcher.
    KillLauncher,
}

impl Scenario {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let repeats = dice.one_of(&[1, 1, 2, 3, 5]);
        let (work, size) = match dice.below(3) {
            0 => (Work::Square, dice.about(1_000, 2_000_000)),
            1 => (Work::Collatz, dice.about(1_000, STEPS / repeats)),
            _ => spin(&mut dice, repeats),
        };
        let procs = dice.one_of(&[1, 2, 2, 3, 4, 8]);
        let mut arguments = format!("-n {procs} --repeats {repeats} --schedule ");
        // Small chunks, of which there are not too many for a short run.
        let least = (size / 20_000).max(1);
        let chunk = dice.about(least, size.max(least + 1));
        arguments += &match dice.below(16) {
            0 => "static".to_owned(),
            1 => format!("static,{chunk}"),
            2 => "guided".to_owned(),
            3 => format!("guided,{chunk}"),
            4 => format!("tss,{chunk}"),
            5 => format!("fac2,{chunk}"),
            6 => format!("awf-b,{chunk}"),
            7 | 8 => "auto".to_owned(),
            9..=12 => format!("steal,{chunk}"),
            _ => format!("dynamic,{chunk}"),
        };
        arguments += &format!(" --verify {}", dice.one_of(&["none", "sample", "full", "full"]));
        arguments += &format!(" --wait {}", dice.one_of(&["hybrid", "hybrid", "block", "spin"]));
        arguments += &format!(" --backing {}", dice.one_of(&["shm", "shm", "memfd"]));
        let input = dice.one_of(&[Input::Indices, Input::File]);
        let in_place = dice.percent(50);
        let output = dice.one_of(&[Output::Npy, Output::Npy, Output::Txt, Output::Nothing]);
        let replaces = dice.percent(50);
        let span = span(work, size, repeats, output);
        let faults = faults(&mut dice, span);
        Self { work, size, input, in_place, output, replaces, arguments, faults }
    }

    pub(crate) fn arguments(&self) -> String {
        let kernel = match self.work {
            Work::Square => "square".to_owned(),
            Work::Collatz => "collatz".to_owned(),
            Work::Spin { ns, linear, serial } => format!(
                "spin --param cost={ns}ns{}{}",
                if linear { " --param dist=linear" } else { "" },
                if serial { " --param serial=0.2" } else { "" }
            ),
        };
        let input = match self.input {
            Input::Indices => format!("--size {}", self.size),
            Input::File => "--input in.npy".to_owned(),
        };
        let in_place = if self.in_place { "--in-place" } else { "" };
        let output = self.output.name().map_or(String::new(), |name| format!("--output {name}"));
        // How often one chunk may be unlucky is not what is tested.
        format!("-k {kernel} {input} {in_place} {output} {} --json --retries 1000", self.arguments)
    }

    pub(crate) fn input(&self) -> impl Iterator<Item = i64> {
        let (from_file, size) = (self.input == Input::File, self.size.cast_signed());
        (0..size).map(move |index| if from_file { size - index } else { index })
    }

    /// What is to come out, computed one by one.
    pub(crate) fn expected(&self) -> Vec<i64> {
        match self.work {
            Work::Square => self.input().map(|x| x * x).collect(),
            Work::Collatz => self.input().map(|x| steps()[x as usize]).collect(),
            Work::Spin { ns, linear, .. } => (0..self.size)
                .map(|index| {
                    let factor = 2.0 * (index as f64 + 0.5) / self.size as f64;
                    (ns as f64 * if linear { factor } else { 1.0 }).round() as i64
                })
                .collect(),
        }
    }
}

/// Many cheap indices, or few that take long; some tens of milliseconds in all.
fn spin(dice: &mut Dice, repeats: u64) -> (Work, u64) {
    let total = dice.about(5_000_000, 60_000_000) / repeats;
    let size = dice.about(1, 20_000);
    let ns = (total / size).max(1);
    (Work::Spin { ns, linear: dice.percent(30), serial: dice.percent(30) }, size)
}

/// About how long a run takes from its start to its end, in microseconds.
fn span(work: Work, size: u64, repeats: u64, output: Output) -> u64 {
    let ns = match work {
        Work::Square => 2 * size,
        Work::Collatz => 120 * size,
        Work::Spin { ns, .. } => ns * size,
    };
    let written = size * if output == Output::Txt { 20 } else { 4 };
    10_000 + (ns * repeats / 2 + ns + written) / 1000
}

fn faults(dice: &mut Dice, span: u64) -> Vec<Fault> {
    let mut faults = Vec::new();
    if dice.percent(4) {
        // A storm, of a kill a millisecond.
        let begin = dice.below(span);
        let kills = 5 + dice.below(30);
        faults.extend((0..kills).map(|kill| {
            let at = begin + 1000 * kill;
            Fault { at, kind: Kind::Kill(dice.next()) }
        }));
        return faults;
    }
    let mut at = 0;
    for _ in 0..1 + dice.below(4) {
        // Anywhere, or in quick succession: right into what the one before has caused.
        at = if at == 0 || dice.percent(50) { dice.below(span) } else { at + dice.below(3000) };
        let kind = match dice.below(100) {
            0..60 => Kind::Kill(dice.next()),
            60..70 => Kind::KillAll,
            70..85 => Kind::Stop(dice.next()),
            85..90 => Kind::Terminate,
            _ => Kind::KillLauncher,
        };
        faults.push(Fault { at, kind });
        if matches!(kind, Kind::Stop(_)) {
            faults.push(Fault { at: at + dice.about(100, 30_000), kind: Kind::Continue });
        }
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// The largest number whose path is asked for.
const STEPS: u64 = 150_000;

/// How many steps each number takes to 1; 0 takes none by convention.
fn steps() -> &'static [i64] {
    static STEPS_OF: OnceLock<Vec<i64>> = OnceLock::new();
    STEPS_OF.get_or_init(|| {
        let path = |start: u64| {
            let (mut x, mut steps) = (start.max(1), 0);
            while x != 1 {
                x = if x % 2 == 0 { x / 2 } else { 3 * x + 1 };
                steps += 1;
            }
            steps
        };
        (0..=STEPS).map(path).collect()
    })
}
