//! What may be typed after `--`.

use crate::sections;

/// What was typed.
pub(crate) struct Options {
    only: Option<Vec<String>>,
    pub(crate) effort: Effort,
    pub(crate) install: Install,
}

/// How long it may take.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Effort {
    /// For numbers to keep: so many rounds.
    Full { rounds: usize },
    /// To see that everything runs: few rounds, small arrays.
    Quick,
}

/// Whether peers from PyPI may be downloaded.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Install {
    Never,
    Asked,
}

impl Effort {
    pub(crate) fn rounds(self) -> usize {
        match self {
            Self::Full { rounds } => rounds,
            Self::Quick => 2,
        }
    }

    /// Returns the size of an array: a tenth will do to see that it runs.
    pub(crate) fn scaled(self, n: u64) -> u64 {
        match self {
            Self::Full { .. } => n,
            Self::Quick => n / 10,
        }
    }

    pub(crate) fn described(self) -> String {
        match self {
            Self::Full { rounds } => format!(
                "A sample is the median of what one process measured; the process and all its peers run in turn, {rounds} rounds. Ratios are medians over the rounds of spmd's sample over the peer's, each with its distribution-free 95 % interval.\n"
            ),
            Self::Quick => {
                "**A trial: two rounds and a tenth of the sizes. These are no measurements.**\n"
                    .to_owned()
            }
        }
    }
}

impl Options {
    pub(crate) fn read(arguments: &[String]) -> Result<Self, String> {
        let mut options =
            Self { only: None, effort: Effort::Full { rounds: 15 }, install: Install::Never };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--bench" => {} // From cargo.
                "--quick" => options.effort = Effort::Quick,
                "--rounds" => {
                    let rounds = rest.next().and_then(|text| text.parse().ok());
                    let rounds = rounds.filter(|&rounds| rounds > 0);
                    let rounds = rounds.ok_or("`--rounds` needs a number of at least 1")?;
                    options.effort = Effort::Full { rounds };
                }
                "--install" => options.install = Install::Asked,
                "--save" => {
                    rest.next().ok_or("`--save` needs a folder")?; // Read by `shared::save`.
                }
                "--only" => {
                    let list = rest.next().ok_or("`--only` needs the names of sections")?;
                    options.only = Some(list.split(',').map(str::to_owned).collect());
                }
                unknown => {
                    return Err(format!(
                        "unknown argument `{unknown}`: there are --only SECTION[,SECTION], --rounds N, --quick, --install and --save DIR"
                    ));
                }
            }
        }
        let names: Vec<&str> = sections::ALL.iter().map(|(name, _)| *name).collect();
        let unknown = options.only.iter().flatten().find(|name| !names.contains(&name.as_str()));
        match unknown {
            Some(name) => {
                Err(format!("there is no section `{name}`: there are {}", names.join(", ")))
            }
            None => Ok(options),
        }
    }

    pub(crate) fn includes(&self, section: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|name| name == section))
    }
}
