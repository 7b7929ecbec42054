//! Where a value lies, and which values are written beside it.

/// How values become lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    /// Each doubling is as long as the next.
    Log2,
    /// The same lengths; ticks are decimal.
    Log10,
}

/// Where a linear axis begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// At nothing, as what is compared by its length has to; lower where values are.
    Zero,
    /// At the least value.
    Least,
}

/// Which values are written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ticks {
    Round,
    /// These, as far as there is room.
    At(Vec<f64>),
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Plain,
    Seconds,
    /// A share, in percent.
    Percent,
    /// With a decimal prefix before this.
    Prefixed(&'static str),
}

/// One axis, before values are known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) label: String,
    pub(crate) scale: Scale,
    pub(crate) from: From,
    pub(crate) ticks: Ticks,
    pub(crate) unit: Unit,
}

/// An axis over a range.
#[derive(Clone, Debug)]
pub(super) struct Ruler {
    scale: Scale,
    /// Of the transformed values.
    range: [f64; 2],
    /// Of the picture; the second is where the greatest value lies.
    ends: [f64; 2],
}

impl Scale {
    /// Returns what a length is in proportion to; `None` of values that have no place.
    fn of(self, value: f64) -> Option<f64> {
        let found = match self {
            Self::Linear => value,
            Self::Log2 | Self::Log10 => value.log2(),
        };
        found.is_finite().then_some(found)
    }
}

impl Ruler {
    /// Lays values out; a range that holds one value only is widened about it.
    pub(super) fn new(axis: &Axis, values: impl Iterator<Item = f64>, ends: [f64; 2]) -> Self {
        let scale = axis.scale;
        let mut range = [f64::INFINITY, f64::NEG_INFINITY];
        for value in values.filter_map(|value| scale.of(value)) {
            range = [range[0].min(value), range[1].max(value)];
        }
        if range[0] > range[1] {
            range = [0.0, 1.0];
        }
        if scale == Scale::Linear && axis.from == From::Zero {
            range = [range[0].min(0.0), range[1].max(0.0)];
        }
        let mut room = (range[1] - range[0]) * 0.05;
        if room <= 0.0 {
            room = if scale == Scale::Linear { range[0].abs().max(1.0) * 0.5 } else { 1.0 };
        }
        if range[0] != 0.0 || axis.from == From::Least || scale != Scale::Linear {
            range[0] -= room;
        }
        if range[1] != 0.0 || range[0] == 0.0 {
            range[1] += room;
        }
        Self { scale, range, ends }
    }

    /// Returns where a value lies; `None` if it has no place on such an axis.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let share = (self.scale.of(value)? - self.range[0]) / (self.range[1] - self.range[0]);
        // Far outside it is outside, and coordinates stay numbers that every reader takes.
        Some(self.ends[0] + (self.ends[1] - self.ends[0]) * share.clamp(-4.0, 5.0))
    }

    /// Returns the values within the range that are to be written, at most about so many.
    pub(super) fn ticks(&self, axis: &Axis, most: usize) -> Vec<f64> {
        let all = match (&axis.ticks, self.scale) {
            (Ticks::At(values), _) => return thinned(self.within(values.clone()), most),
            (Ticks::Round, Scale::Linear) => self.steps(most),
            (Ticks::Round, Scale::Log2) => self.powers(2.0, &[1.0]),
            (Ticks::Round, Scale::Log10) => {
                let decades = (self.range[1] - self.range[0]) / std::f64::consts::LOG2_10;
                if decades < 0.6 {
                    // Too little for decades: steps of what the values themselves are.
                    self.steps(most)
                } else if decades < 2.5 {
                    self.powers(10.0, &[1.0, 2.0, 5.0])
                } else {
                    self.powers(10.0, &[1.0])
                }
            }
        };
        thinned(all, most)
    }

    fn within(&self, values: Vec<f64>) -> Vec<f64> {
        let [low, high] = self.range;
        let inside =
            |value: &f64| self.scale.of(*value).is_some_and(|value| (low..=high).contains(&value));
        values.into_iter().filter(inside).collect()
    }

    fn powers(&self, base: f64, multiples: &[f64]) -> Vec<f64> {
        let power = base.log2();
        let [first, last] = self.range.map(|end| (end / power).floor() as i32);
        let values = (first..=last).flat_map(|exponent| {
            multiples.iter().map(move |multiple| multiple * base.powi(exponent))
        });
        self.within(values.collect())
    }

    /// Returns multiples of 1, 2 or 5 times a power of ten.
    fn steps(&self, most: usize) -> Vec<f64> {
        let ends = match self.scale {
            Scale::Linear => self.range,
            Scale::Log2 | Scale::Log10 => self.range.map(f64::exp2),
        };
        // A step that is a little too small is one tick more, and better than half as many.
        let least = 0.8 * (ends[1] - ends[0]) / most.max(1) as f64;
        let power = 10_f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|multiple| multiple * power);
        let step = step.into_iter().find(|step| *step >= least).unwrap_or(power * 10.0);
        let [first, last] = [(ends[0] / step).ceil(), (ends[1] / step).floor()];
        let count = ((last - first).max(0.0) as usize).min(1000);
        self.within((0..=count).map(|at| (first + at as f64) * step).collect())
    }
}

/// Leaves out every other one until there are few enough.
fn thinned(mut values: Vec<f64>, most: usize) -> Vec<f64> {
    while values.len() > most.max(2) {
        let mut keep = false;
        values.retain(|_| {
            keep = !keep;
            keep
        });
    }
    values
}

impl Unit {
    /// Writes a value of an axis, with no more digits than it needs.
    pub(crate) fn write(self, value: f64) -> String {
        match self {
            Self::Plain => digits(value),
            Self::Percent => format!("{} %", digits(value * 100.0)),
            Self::Seconds => match value.abs() {
                0.0 => "0".to_owned(),
                s if s < 0.999_9e-6 => format!("{} ns", digits(value * 1e9)),
                s if s < 0.999_9e-3 => format!("{} µs", digits(value * 1e6)),
                s if s < 0.999_9 => format!("{} ms", digits(value * 1e3)),
                _ => format!("{} s", digits(value)),
            },
            Self::Prefixed(unit) => {
                let (value, prefix) = match value.abs() {
                    r if r < 0.999_9e3 => (value, ""),
                    r if r < 0.999_9e6 => (value / 1e3, "k"),
                    r if r < 0.999_9e9 => (value / 1e6, "M"),
                    r if r < 0.999_9e12 => (value / 1e9, "G"),
                    _ => (value / 1e12, "T"),
                };
                format!("{} {prefix}{unit}", digits(value))
            }
        }
    }
}

/// Four digits that count, and no zeros behind them.
fn digits(value: f64) -> String {
    let whole = value.abs().max(1e-9).log10().floor() as i32 + 1;
    let places = usize::try_from((4 - whole).clamp(0, 9)).unwrap_or(0);
    let text = format!("{value:.places$}");
    let text = match text.split_once('.') {
        Some((whole, part)) => {
            let part = part.trim_end_matches('0');
            if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
        }
        None => text,
    };
    if text == "-0" { "0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale, from: From) -> Axis {
        Axis { label: String::new(), scale, from, ticks: Ticks::Round, unit: Unit::Plain }
    }

    #[test]
    fn a_value_lies_where_its_scale_has_it() {
        let linear =
            Ruler::new(&axis(Scale::Linear, From::Zero), [1.0, 4.0].into_iter(), [0.0, 420.0]);
        // From 0 to 4 and a twentieth more: 100 pixels each.
        assert_eq!([0.0, 2.0, 4.0].map(|at| linear.place(at)), [0.0, 200.0, 400.0].map(Some));
        let log =
            Ruler::new(&axis(Scale::Log2, From::Least), [1.0, 16.0].into_iter(), [0.0, 440.0]);
        let places = [1.0, 2.0, 4.0, 16.0].map(|at| log.place(at).unwrap().round());
        assert_eq!(places, [20.0, 120.0, 220.0, 420.0]);
        assert_eq!((log.place(0.0), log.place(-1.0), linear.place(f64::NAN)), (None, None, None));
    }

    #[test]
    fn ticks_are_round_and_few() {
        let of = |scale, low: f64, high: f64| {
            let axis = axis(scale, From::Least);
            Ruler::new(&axis, [low, high].into_iter(), [0.0, 1.0]).ticks(&axis, 6)
        };
        assert_eq!(of(Scale::Linear, 0.0, 1.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(of(Scale::Log2, 1.0, 16.0), [1.0, 2.0, 4.0, 8.0, 16.0]);
        assert_eq!(of(Scale::Log10, 1.0, 60.0), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(of(Scale::Log10, 1e-6, 1e3).len(), 5);
        let near = of(Scale::Log10, 3.1, 4.2).into_iter().map(|value| Unit::Plain.write(value));
        assert_eq!(near.collect::<Vec<_>>(), ["3.2", "3.4", "3.6", "3.8", "4", "4.2"]);
    }

    #[test]
    fn one_value_alone_has_room_about_it() {
        for scale in [Scale::Linear, Scale::Log2, Scale::Log10] {
            let ruler = Ruler::new(&axis(scale, From::Least), [3.0].into_iter(), [0.0, 100.0]);
            assert!((ruler.place(3.0).unwrap() - 50.0).abs() < 1e-9, "{scale:?}");
        }
        let none = Ruler::new(&axis(Scale::Log2, From::Least), [].into_iter(), [0.0, 100.0]);
        assert!(none.place(1.0).is_some());
    }

    #[test]
    fn values_are_written_with_the_digits_they_need() {
        let found = [
            Unit::Plain.write(0.25),
            Unit::Plain.write(0.6000000000000001),
            Unit::Percent.write(0.8),
            Unit::Seconds.write(0.002),
            Unit::Seconds.write(5e-7),
            Unit::Seconds.write(12.5),
            Unit::Seconds.write(0.0),
            Unit::Prefixed("B/s").write(2.5e10),
            Unit::Plain.write(-0.0),
        ];
        assert_eq!(found, ["0.25", "0.6", "80 %", "2 ms", "500 ns", "12.5 s", "0", "25 GB/s", "0"]);
    }
}
