//! The table of kernels, and one kernel.

use std::fmt::Write as _;

use crate::kernel::{Catalog, Kernel, ParamKind, Params, Picture, Reads, Setting};
use crate::{DType, Overflow};

/// Makes the table of kernels.
pub(crate) fn kernels(catalog: &Catalog) -> String {
    let mut text = format!(
        "{:<12} {:>11} {:>11}  {:<28} {}\n",
        "kernel", "bytes/index", "flops/index", "dtypes", "about"
    );
    for kernel in catalog.iter() {
        let cost = default_cost(kernel);
        let types: Vec<&str> = kernel.dtypes().iter().map(|dtype| dtype.name()).collect();
        let _ = writeln!(
            text,
            "{:<12} {:>11} {:>11}  {:<28} {}",
            kernel.name(),
            rounded(cost.bytes),
            rounded(cost.flops),
            types.join(" "),
            kernel.about()
        );
    }
    text
}

/// Describes one kernel.
pub(crate) fn kernel(kernel: &dyn Kernel) -> String {
    let cost = default_cost(kernel);
    let types: Vec<&str> = kernel.dtypes().iter().map(|dtype| dtype.name()).collect();
    let mut text = format!("{}: {}\n", kernel.name(), kernel.about());
    let _ = writeln!(text, "  dtypes   {}", types.join(" "));
    let _ = writeln!(
        text,
        "  cost     {} bytes and {} flops an index, about {} ns (with the defaults)",
        rounded(cost.bytes),
        rounded(cost.flops),
        rounded(cost.ns)
    );
    let _ = match kernel.reads() {
        Reads::Input => writeln!(text, "  input    {} (default)", kernel.input()),
        Reads::Index => writeln!(text, "  input    none; the indices are {}", kernel.input()),
        Reads::Operands(count) => writeln!(
            text,
            "  input    none, but {count} in memory of its own; the indices are {}",
            kernel.input()
        ),
    };
    let params = Params::resolve(kernel.name(), kernel.params(), &[]).unwrap_or_default();
    if let Some(Picture { width, height, .. }) = kernel.picture(&params) {
        let _ = writeln!(text, "  picture  {width} x {height} pixels; --output FILE.png draws it");
    }
    let check = match kernel.repeatable() {
        crate::kernel::Repeatable::Yes => {
            "--verify sample|full compares bits with a serial run".to_owned()
        }
        crate::kernel::Repeatable::No(why) => format!("none: {why}"),
    };
    let _ = writeln!(text, "  check    {check}");
    for &dtype in kernel.dtypes() {
        if let Some(domain) = kernel.domain(dtype) {
            let what = match domain.beyond {
                crate::kernel::Beyond::Overflow => "exact",
                crate::kernel::Beyond::Undefined => "defined",
            };
            let _ = writeln!(
                text,
                "  {what:<8} {dtype}: inputs {} to {}",
                domain.least, domain.greatest
            );
        }
    }
    for param in kernel.params() {
        let kind = match param.kind {
            ParamKind::Duration => "time".to_owned(),
            ParamKind::Fraction => "0 to 1".to_owned(),
            ParamKind::Whole { least, greatest } => format!("{least} to {greatest}"),
            ParamKind::Number => "number".to_owned(),
            ParamKind::Positive => "number above 0".to_owned(),
            ParamKind::Choice(words) => words.join("|"),
        };
        let _ = writeln!(
            text,
            "  --param {}=VALUE   {} ({kind}; default {})",
            param.name, param.about, param.default
        );
    }
    text
}

/// Returns the options that decide what a kernel computes on.
pub(super) fn size_options(kernel: &dyn Kernel, params: &Params) -> &'static str {
    if kernel.picture(params).is_some() {
        "--param"
    } else if kernel.reads() == Reads::Input {
        "--input or --size"
    } else {
        "--size"
    }
}

fn default_cost(kernel: &dyn Kernel) -> crate::Cost {
    let params = Params::resolve(kernel.name(), kernel.params(), &[]).unwrap_or_default();
    let types = kernel.dtypes();
    let dtype = if types.contains(&DType::I64) { DType::I64 } else { types[0] };
    kernel.cost(&Setting {
        params: &params,
        dtype,
        size: 1_000_000,
        overflow: Overflow::Error,
        seed: 1,
    })
}

fn rounded(value: f64) -> String {
    if value < 10.0 && value.fract() != 0.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}
