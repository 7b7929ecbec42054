//! Layers, laid over one another by name: what is the same for all points of a job.
//!
//! What differs from point to point, an axis or a derived option, is no layer's to override: the grid is
//! what the file says.

use std::collections::BTreeMap;

use super::jobs::Layers;
use super::layer::{Given, Layer};
use super::source::{Fault, Faults, Place};
use super::typed::options;
use crate::error::Error;
use crate::options::RunOptions;

/// What to do about an option that was given twice.
pub(super) const ONCE: &str =
    "an option has one place in a job: by itself, in matrix, in a zip, or in derive";

/// The other way to say what to compute on.
pub(super) fn rival(name: &str) -> Option<&'static str> {
    match name {
        "size" => Some("input"),
        "input" => Some("size"),
        _ => None,
    }
}

/// Says that a job has both.
pub(super) fn rivals(name: &str, rival: &str, section: &str, place: &Place) -> Fault {
    let what = format!("{name} and `{rival}` both say what {section} computes on");
    Fault::new(place.clone(), what).hint("size = N is the indices 0..N; give one of the two")
}

/// Checks that a layer does not say in two ways what to compute on. What was typed is checked there.
pub(super) fn check_rivals(layer: &Layer, section: &str, faults: &mut Faults) {
    let (size, input) = (layer.options.get("size"), layer.options.get("input"));
    if let (Some(Given { place, .. }), Some(_)) = (size, input) {
        faults.add(rivals("`size`", "input", section, place));
    }
}

/// Checks that a layer does not override what differs from point to point: the grid is what the file says.
pub(super) fn check_over(
    layer: &Layer,
    varied: &BTreeMap<String, &'static str>,
    section: &str,
    faults: &mut Faults,
) {
    for (name, Given { place, origin, .. }) in &layer.options {
        // What has no place in a text says where it is from in words.
        let shown = match place {
            Place::Unknown => format!("`{name}` ({origin})"),
            Place::File(_) | Place::Argument(_) => format!("`{name}`"),
        };
        if let Some(rival) = rival(name).filter(|rival| varied.contains_key(*rival)) {
            faults.add(rivals(&shown, rival, section, place));
        }
        let Some(how) = varied.get(name) else { continue };
        let file = matches!(place, Place::File(_));
        if file && origin.starts_with("[[job]]") {
            let what = format!("`{name}` is given twice in {section}: here, and {how}");
            faults.add(Fault::new(place.clone(), what).hint(ONCE));
            continue;
        }
        let what = format!("{shown} is {how} in {section}");
        let hint = match (*how, file) {
            ("derived", _) => format!("--set derive.{name}=… replaces the expression"),
            (_, true) => "a profile sets what is the same for all points of a job".to_owned(),
            ("in a zip", false) => "the grid is what the file says: edit the zip".to_owned(),
            (_, false) => format!("--set matrix.{name}=[…] replaces the values of the axis"),
        };
        faults.add(Fault::new(place.clone(), what).hint(hint));
    }
}

/// Lays layers over one another, the first on top, leaving out what differs from point to point.
pub(super) fn laid<'a>(
    layers: impl IntoIterator<Item = &'a Layer>,
    varied: &BTreeMap<String, &'static str>,
) -> BTreeMap<String, Given> {
    let mut all: BTreeMap<String, Given> = BTreeMap::new();
    for layer in layers {
        let decided = all.contains_key("size") || all.contains_key("input");
        for (name, given) in &layer.options {
            let beaten = rival(name).is_some_and(|rival| decided || varied.contains_key(rival));
            if !varied.contains_key(name) && !beaten {
                all.entry(name.clone()).or_insert_with(|| given.clone());
            }
        }
    }
    all
}

/// Puts plain options together.
pub(super) fn base(
    plain: &BTreeMap<String, Given>,
    layers: &Layers<'_>,
) -> Result<RunOptions, Fault> {
    let values = plain.iter().map(|(name, given)| (name.as_str(), &given.value));
    let mut base =
        options(values).map_err(|error: Error| Fault::new(Place::Unknown, error.to_string()))?;
    // A path that was typed may be no text, and is taken as it is.
    let typed = |name: &str| {
        let place = plain.get(name).map(|given| &given.place);
        place == Some(&Place::Unknown)
    };
    let RunOptions { input, output, checkpoint, trace, .. } = layers.given.clone();
    base.input = if typed("input") { input } else { base.input };
    base.output = if typed("output") { output } else { base.output };
    base.checkpoint = if typed("checkpoint") { checkpoint } else { base.checkpoint };
    base.trace = if typed("trace") { trace } else { base.trace };
    Ok(base)
}
