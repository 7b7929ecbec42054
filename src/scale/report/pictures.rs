//! The pictures of a study: which there are, and what each shows.

use super::words::{cause, estimate, percent, ranks, times};
use super::{Findings, Roofline};
use crate::figures::time;
use crate::plots::{
    Axis, Bar, Chart, Dash, Datum, Fill, From, Gantt, Ink, Line, Marker, Part, Picture, Points,
    Scale, Stack, Ticks, Unit,
};
use crate::scaling::{Cause, Estimate, Figures, Fit, Kind, Law};

/// A picture, and what a reader should look at in it.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) picture: Picture,
    pub(super) caption: String,
}

impl Findings {
    /// Returns every picture that this study has something for.
    pub(super) fn pictures(&self) -> Vec<Shown> {
        let all = [
            Some(self.time()),
            Some(self.speedup()),
            Some(self.efficiency()),
            self.karp_flatt(),
            self.lost(),
            self.roofline(),
            self.gantt(),
        ];
        all.into_iter().flatten().collect()
    }

    fn time(&self) -> Shown {
        let base = self.base_time.value;
        let line = self.line("ideal", Ink::Faint, Dash::Dashes, |p| base * self.work(p) / p);
        let chart = Chart {
            lines: self.with_laws(line, |seconds, _| seconds),
            y: axis("median time of a pass", Scale::Log10, From::Least, Unit::Seconds),
            ..self.chart("time", "Time", time, |point| point.time_s, |prediction| prediction.time_s)
        };
        Shown {
            picture: chart.draw(),
            caption: format!(
                "Medians of a pass, the slowest rank's time each, with what holds them with 95 %. Ideal is {}.",
                match self.kind {
                    Kind::Strong =>
                        format!("the time of {}, divided among the ranks", self.base_words()),
                    Kind::Weak => format!("the time of {}, however many ranks", self.base_words()),
                }
            ),
        }
    }

    fn speedup(&self) -> Shown {
        let base = self.base_time.value;
        let line = self.line("ideal", Ink::Faint, Dash::Dashes, |p| p);
        let label = format!("times as fast as {}, {}", self.base_words(), time(base));
        let mut chart = Chart {
            lines: self.with_laws(line, |seconds, p| base * self.work(p) / seconds),
            y: axis(&label, self.scale(), From::Zero, Unit::Plain),
            ..self.chart("speedup", "Speedup", times, |point| point.speedup, |found| found.speedup)
        };
        chart.lines.extend(self.bandwidth_bound());
        self.knee_line(&mut chart);
        let told = self.knee().map(|(_, knee)| {
            let knee = estimate(knee, times);
            format!(" By the Universal Scalability Law it turns down at {knee} ranks.")
        });
        let predicted = if self.predictions.is_empty() {
            ""
        } else {
            " Hollow diamonds were not measured: they are what a law predicts."
        };
        Shown {
            picture: chart.draw(),
            caption: format!(
                "Ratios of medians, with bootstrap intervals of 95 %.{predicted}{}",
                told.unwrap_or_default()
            ),
        }
    }

    /// Returns the speedups beyond which memory is not fast enough, where they are measured and of interest: a
    /// bound far above the ideal would only make all else small.
    fn bandwidth_bound(&self) -> Option<Line> {
        let Roofline { bytes, ceilings, .. } = self.roofline.as_ref()?;
        let bound = |(procs, ceiling): &(u32, f64)| {
            let p = f64::from(*procs);
            let point = self.points.iter().find(|point| point.figures.procs == *procs)?;
            let least = bytes * point.figures.size as f64 / ceiling;
            let speedup = self.base_time.value * self.work(p) / least;
            (speedup <= 1.25 * p).then_some([p, speedup])
        };
        let places: Vec<[f64; 2]> = ceilings.iter().filter_map(bound).collect();
        let name = "memory's ceiling".to_owned();
        (places.len() > 1).then_some(Line { name, ink: Ink::Text, dash: Dash::Dots, places })
    }

    /// Returns where the speedup turns down, and by which law.
    fn knee(&self) -> Option<(&Fit, Estimate)> {
        let found = self.fits.iter().find_map(|fit| Some((fit, fit.knee?)));
        found.filter(|(_, knee)| knee.value.is_finite())
    }

    /// Draws a line to the greatest speedup, if that is among the ranks that are shown.
    fn knee_line(&self, chart: &mut Chart) {
        let Some((fit, knee)) = self.knee() else { return };
        let shown = chart.points.iter().flat_map(|points| &points.points);
        let (least, most) = shown.fold((f64::MAX, 0.0_f64), |(least, most), datum| {
            (least.min(datum.x), most.max(datum.x))
        });
        if (least..=most).contains(&knee.value) {
            let highest = self.base_time.value * self.work(knee.value)
                / fit.time(knee.value, self.work(knee.value));
            chart.lines.push(Line {
                name: format!("turns down at {:.1}, predicted", knee.value),
                ink: Ink::Vermillion,
                dash: Dash::Dots,
                places: vec![[knee.value, least.min(highest)], [knee.value, highest]],
            });
        }
    }

    fn efficiency(&self) -> Shown {
        let base = self.base_time.value;
        let line = self.line("ideal", Ink::Faint, Dash::Dashes, |_| 1.0);
        let chart = Chart {
            lines: self.with_laws(line, |seconds, p| base * self.work(p) / seconds / p),
            y: axis("speedup by ranks", Scale::Linear, From::Zero, Unit::Percent),
            ..self.chart(
                "efficiency",
                "Efficiency",
                percent,
                |point| point.efficiency,
                |found| {
                    let procs = f64::from(found.procs);
                    let part = |value: f64| value / procs;
                    Estimate {
                        value: part(found.speedup.value),
                        ci95: found.speedup.ci95.map(|ends| ends.map(part)),
                    }
                },
            )
        };
        let caption = match self.kind {
            Kind::Strong => {
                "What part of the ranks' time is the work of the base; all else is lost."
            }
            Kind::Weak => {
                "The time of the base by that of so many ranks with so many times its work."
            }
        };
        Shown { picture: chart.draw(), caption: caption.to_owned() }
    }

    /// Of strong studies with more than one rank.
    fn karp_flatt(&self) -> Option<Shown> {
        let shares: Vec<(u32, Estimate)> = self
            .points
            .iter()
            .filter_map(|point| Some((point.figures.procs, point.figures.karp_flatt?)))
            .collect();
        if shares.is_empty() {
            return None;
        }
        let points = shares.iter().map(|(procs, share)| datum(*procs, *share, percent));
        let chart = Chart {
            lines: vec![],
            points: vec![measured(points.collect())],
            x: self.ranks_axis(shares.iter().map(|(procs, _)| *procs).collect()),
            y: axis("serial share", Scale::Linear, From::Zero, Unit::Percent),
            description: described(shares.iter().map(|(procs, share)| (*procs, *share)), percent),
            ..self.chart(
                "serial-share",
                "Karp and Flatt's serial share",
                percent,
                |point| point.speedup,
                |found| found.speedup,
            )
        };
        Some(Shown {
            picture: chart.draw(),
            caption: "The serial share that alone would explain the speedup. Level: a part of the work is serial. \
                      Rising: overhead grows with the ranks. Below nothing: ranks are faster than the base."
                .to_owned(),
        })
    }

    fn lost(&self) -> Option<Shown> {
        let bars: Vec<Bar> = self
            .losses
            .iter()
            .map(|losses| {
                let ideal = Part {
                    name: "ideal",
                    fill: Fill::Plain(Ink::Neutral),
                    share: losses.efficiency(),
                    about: format!("ideal: {}", percent(losses.efficiency())),
                };
                let parts = losses.parts.iter().map(|part| {
                    let share = part.lost / losses.whole;
                    let verb = if share < 0.0 { "gained" } else { "lost" };
                    let about = format!("{}: {} {verb}", cause(part.cause), percent(share.abs()));
                    Part { name: cause(part.cause), fill: fill(part.cause), share, about }
                });
                Bar {
                    name: ranks(losses.procs as u64),
                    parts: std::iter::once(ideal).chain(parts).collect(),
                }
            })
            .collect();
        if bars.is_empty() {
            return None;
        }
        let described: Vec<String> = bars
            .iter()
            .map(|bar| {
                let parts = bar.parts.iter().filter(|part| part.share.abs() >= 0.001);
                let parts: Vec<&str> = parts.map(|part| &*part.about).collect();
                format!("{}: {}", bar.name, parts.join(", "))
            })
            .collect();
        let stack = Stack {
            name: "losses",
            title: "Where the ranks' time went".to_owned(),
            description: described.join(". "),
            note: self.provenance(),
            label: "share of ranks × time".to_owned(),
            bars,
        };
        Some(Shown {
            picture: stack.draw(),
            caption: "All that the ranks' time was spent on beyond what the base spends on the same work. Each bar \
                      ends where the whole time does; a strip below a bar is a gain, by which it begins earlier."
                .to_owned(),
        })
    }

    fn roofline(&self) -> Option<Shown> {
        let roofline = self.roofline.as_ref()?;
        let Roofline { flops, bytes, ceilings, peak } = roofline;
        let intensity = flops / bytes;
        if !(intensity > 0.0 && intensity.is_finite()) {
            return None;
        }
        let rates: Vec<(u32, Estimate)> = self
            .points
            .iter()
            .map(|point| {
                let rate = |seconds: f64| flops * point.figures.size as f64 / seconds;
                let Estimate { value, ci95 } = point.figures.time_s;
                let ci95 = ci95.map(|[low, high]| [rate(high), rate(low)]);
                (point.figures.procs, Estimate { value: rate(value), ci95 })
            })
            .collect();
        let write = |rate: f64| Unit::Prefixed("flop/s").write(rate);
        // Only the roofs of points that are shown: one of the fewest ranks, and one of the most.
        let ends = [ceilings.first(), ceilings.last().filter(|_| ceilings.len() > 1)];
        let lines = ends.into_iter().flatten().zip([Dash::Dashes, Dash::Solid]).map(
            |((procs, ceiling), dash)| Line {
                name: format!(
                    "{}B/s, {}",
                    Unit::Prefixed("").write(*ceiling),
                    ranks(u64::from(*procs))
                ),
                ink: Ink::Text,
                dash,
                places: (-24..=24)
                    .map(|step| intensity * 2_f64.powf(f64::from(step) / 6.0))
                    .map(|x| [x, peak.map_or(x * ceiling, |peak| peak.min(x * ceiling))])
                    .collect(),
            },
        );
        let last = rates.len() - 1;
        let points = rates.iter().enumerate().map(|(at, (procs, rate))| Datum {
            x: intensity,
            label: if at == 0 || at == last { ranks(u64::from(*procs)) } else { String::new() },
            ..datum(*procs, *rate, write)
        });
        let chart = Chart {
            name: "roofline",
            title: "Roofline".to_owned(),
            description: described(rates.iter().copied(), write),
            note: self.provenance(),
            x: axis("declared flops per byte", Scale::Log10, From::Least, Unit::Plain),
            y: axis("flops a second", Scale::Log10, From::Least, Unit::Prefixed("flop/s")),
            points: vec![measured(points.collect())],
            lines: lines.collect(),
        };
        Some(Shown {
            picture: chart.draw(),
            caption: format!(
                "By what the kernel declares: {flops} flops and {bytes} bytes an index. The slope is the bandwidth \
                 that was measured on this machine with so many ranks{}.",
                if peak.is_none() { "; how many flops the CPUs could do was not" } else { "" }
            ),
        })
    }

    fn gantt(&self) -> Option<Shown> {
        let trial = self.trial.as_ref()?;
        let gantt = Gantt {
            name: "gantt",
            title: format!("One trial, on {}", ranks(trial.rows.len() as u64)),
            description: format!(
                "What each of {} did from the beginning of one pass to its end.",
                ranks(trial.rows.len() as u64)
            ),
            note: self.provenance(),
            rows: trial.rows.clone(),
        };
        Some(Shown { picture: gantt.draw(), caption: trial.about.clone() })
    }

    /// A chart over the ranks, with what was measured and what is predicted; no line and no axis of its own.
    fn chart(
        &self,
        name: &'static str,
        title: &str,
        write: impl Fn(f64) -> String,
        of: impl Fn(&Figures) -> Estimate,
        predicted: impl Fn(&crate::scaling::Prediction) -> Estimate,
    ) -> Chart {
        let points: Vec<(u32, Estimate)> =
            self.points.iter().map(|point| (point.figures.procs, of(&point.figures))).collect();
        let beyond: Vec<Datum> = self
            .predictions
            .iter()
            .map(|(law, prediction)| {
                let mut datum = datum(prediction.procs, predicted(prediction), &write);
                datum.about = format!("predicted by {}: {}", law.name(), datum.about);
                datum
            })
            .collect();
        let all = points.iter().map(|(procs, _)| *procs);
        let all = all.chain(self.predictions.iter().map(|(_, prediction)| prediction.procs));
        let predicted = Points {
            name: "predicted, not measured".to_owned(),
            ink: Ink::Vermillion,
            marker: Marker::Predicted,
            points: beyond,
        };
        Chart {
            name,
            title: title.to_owned(),
            description: described(points.iter().copied(), &write),
            note: self.provenance(),
            x: self.ranks_axis(all.collect()),
            y: axis("", Scale::Linear, From::Zero, Unit::Plain),
            lines: vec![],
            points: vec![
                measured(
                    points
                        .into_iter()
                        .map(|(procs, figure)| datum(procs, figure, &write))
                        .collect(),
                ),
                predicted,
            ],
        }
    }

    /// Doublings are alike where there are several.
    fn scale(&self) -> Scale {
        let mut procs = self.points.iter().map(|point| point.figures.procs);
        let (first, last) = (procs.next().unwrap_or(1), procs.next_back().unwrap_or(1));
        if last >= 8 * first { Scale::Log2 } else { Scale::Linear }
    }

    fn ranks_axis(&self, mut procs: Vec<u32>) -> Axis {
        procs.sort_unstable();
        procs.dedup();
        let ticks = Ticks::At(procs.into_iter().map(f64::from).collect());
        Axis { ticks, ..axis("ranks", self.scale(), From::Least, Unit::Plain) }
    }

    /// A law or a bound, from the fewest ranks to the most that are shown.
    fn line(&self, name: &str, ink: Ink, dash: Dash, of: impl Fn(f64) -> f64) -> Line {
        let all = self.points.iter().map(|point| point.figures.procs);
        let all = all.chain(self.predictions.iter().map(|(_, prediction)| prediction.procs));
        let (least, most) = all.fold((u32::MAX, 1), |(least, most), p| (least.min(p), most.max(p)));
        let (least, most) = (f64::from(least.min(most)), f64::from(most));
        let places = (0..=64).map(|step| least * (most / least).powf(f64::from(step) / 64.0));
        let places = if most > least { places.map(|p| [p, of(p)]).collect() } else { vec![] };
        Line { name: name.to_owned(), ink, dash, places }
    }

    /// Adds the laws, of whose seconds with so many ranks a figure is made.
    fn with_laws(&self, ideal: Line, of: impl Fn(f64, f64) -> f64) -> Vec<Line> {
        let law = |fit: &Fit| {
            let (ink, dash) = match fit.law {
                Law::Amdahl => (Ink::Green, Dash::Mixed),
                Law::Gustafson => (Ink::Green, Dash::Dots),
                Law::Usl => (Ink::Purple, Dash::Solid),
            };
            let name = fit.law.name();
            let name = name.strip_prefix("the ").unwrap_or(name);
            self.line(name, ink, dash, |p| of(fit.time(p, self.work(p)), p))
        };
        std::iter::once(ideal).chain(self.fits.iter().map(law)).collect()
    }

    /// Returns the work of so many ranks, as a multiple of the base's.
    fn work(&self, p: f64) -> f64 {
        match self.kind {
            Kind::Strong => 1.0,
            Kind::Weak => p,
        }
    }
}

fn axis(label: &str, scale: Scale, from: From, unit: Unit) -> Axis {
    Axis { label: label.to_owned(), scale, from, ticks: Ticks::Round, unit }
}

fn measured(points: Vec<Datum>) -> Points {
    Points { name: "measured".to_owned(), ink: Ink::Blue, marker: Marker::Measured, points }
}

fn datum(procs: u32, figure: Estimate, write: impl Fn(f64) -> String) -> Datum {
    Datum {
        x: f64::from(procs),
        y: figure.value,
        interval: figure.ci95,
        about: format!("{}: {}", ranks(u64::from(procs)), estimate(figure, write)),
        label: String::new(),
    }
}

/// The figures in words, for those who do not see the picture.
fn described(
    points: impl Iterator<Item = (u32, Estimate)>,
    write: impl Fn(f64) -> String,
) -> String {
    let points = points
        .map(|(procs, figure)| format!("{} {}", ranks(u64::from(procs)), estimate(figure, &write)));
    points.collect::<Vec<_>>().join("; ")
}

/// Colours by families: starting and ending, the runtime's own, the machine's, the work's.
fn fill(cause: Cause) -> Fill {
    match cause {
        Cause::Launch => Fill::Plain(Ink::Sky),
        Cause::Touch => Fill::Hatched(Ink::Sky),
        Cause::Claim => Fill::Plain(Ink::Orange),
        Cause::Imbalance => Fill::Plain(Ink::Vermillion),
        Cause::Barrier => Fill::Plain(Ink::Yellow),
        Cause::Memory => Fill::Plain(Ink::Blue),
        Cause::Steal => Fill::Plain(Ink::Purple),
        Cause::Delay => Fill::Hatched(Ink::Green),
        Cause::Frequency => Fill::Hatched(Ink::Purple),
        Cause::Computing => Fill::Plain(Ink::Green),
        Cause::Output => Fill::Hatched(Ink::Blue),
        Cause::Rest => Fill::Hatched(Ink::Faint),
    }
}
