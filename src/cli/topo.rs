//! `spmd topo` and `spmd doctor`: their options, and how what they find is shown.

use std::path::PathBuf;

use clap::builder::{FalseyValueParser, OsStringValueParser, TypedValueParser};

use super::fail;
use crate::doctor::{Facts, Strictness, diagnose};
use crate::error::{Error, Exit};
use crate::host::affinity::CpuSet;
use crate::host::root::Root;
use crate::inventory::{self, Inventory, Wish};
use crate::options::{Bind, Map, Procs};
use crate::report::{self, Color, Reporter, Talk};

/// What both commands are asked.
#[derive(Debug, clap::Args)]
struct Asked {
    /// Ranks to place: a number, or auto: as many as the CPUs this process may use allow
    #[arg(
        short = 'n',
        long,
        visible_alias = "np",
        value_name = "N|auto",
        env = "SPMD_PROCS",
        allow_hyphen_values = true
    )]
    procs: Option<Procs>,
    /// What a rank is pinned to: core (one rank a core), hwthread, none
    #[arg(long, value_name = "WHAT", env = "SPMD_BIND")]
    bind: Option<Bind>,
    /// How ranks are laid over the machine: close together, or spread over packages and nodes
    #[arg(long = "map", value_name = "HOW", env = "SPMD_MAP")]
    map: Option<Map>,
    /// CPUs to use, of those this process may use: 0-3,8
    #[arg(long, value_name = "LIST", env = "SPMD_CPUS", allow_hyphen_values = true)]
    cpus: Option<CpuSet>,
    /// Read /sys and /proc below DIR, where a copy of another machine's lies
    #[arg(long, value_name = "DIR", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    root: Option<PathBuf>,
    /// Print one JSON document on stdout and nothing else
    #[arg(long, env = "SPMD_JSON", value_parser = FalseyValueParser::new())]
    json: bool,
}

impl Asked {
    /// Returns where to look, how ranks are to be placed, and whether a document is wanted.
    fn parts(self) -> Result<(Root, Wish), Error> {
        let Self { procs, bind, map, cpus, root, .. } = self;
        let wish = Wish {
            procs: procs.unwrap_or(Procs::Auto),
            bind: bind.unwrap_or(Bind::Core),
            map: map.unwrap_or(Map::Close),
            cpus,
        };
        Ok((inventory::root(root)?, wish))
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct TopoCommand {
    #[command(flatten)]
    asked: Asked,
}

/// Shows what this machine offers.
pub(super) fn topo(command: TopoCommand) -> Exit {
    let json = command.asked.json;
    let shown = command.asked.parts().and_then(|(root, wish)| {
        let found = Inventory::take(&root, &wish)?;
        report::document(&if json { found.to_json() } else { report::inventory(&found) })
    });
    match shown {
        Ok(()) => Exit::Complete,
        Err(error) => fail(&error, Reporter::new(Talk::Normal, Color::Auto), json),
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct DoctorCommand {
    #[command(flatten)]
    asked: Asked,
    /// Exit with 1 on any warning, not only on what would stop a run
    #[arg(long, env = "SPMD_STRICT", value_parser = FalseyValueParser::new())]
    strict: bool,
}

/// Shows what would go wrong.
pub(super) fn doctor(command: DoctorCommand) -> Exit {
    let json = command.asked.json;
    let strictness = if command.strict { Strictness::Warnings } else { Strictness::Stops };
    let judged = command.asked.parts().and_then(|(root, wish)| {
        let diagnosis = diagnose(&Facts::gather(&root, &wish)?);
        let exit = diagnosis.exit(strictness);
        let text = if json { diagnosis.to_json(exit) } else { report::diagnosis(&diagnosis) };
        report::document(&text).map(|()| exit)
    });
    match judged {
        Ok(exit) => exit,
        Err(error) => fail(&error, Reporter::new(Talk::Normal, Color::Auto), json),
    }
}
