//! From axes to points: `(product(matrix) × product(zip groups)) − exclude + include`.
//!
//! Pure arithmetic on numbers of rows. A *group* is what advances together: an axis of the matrix, or
//! the columns of a zip. A point of the product is one number, whose digits are a row of each group, the
//! first group slowest; so a million points are a million numbers, and nothing else is stored of them.

mod derive;
mod number;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub(crate) use self::derive::Expression;
pub(crate) use self::number::Number;

/// A job may have this many points before any is excluded.
pub(crate) const MOST_POINTS: u64 = 10_000_000;

/// One combination of a job: its number among the job's points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Point(u32);

impl Point {
    /// Returns its number among the job's points, which counts from 0 in the order of the file.
    pub(crate) fn number(self) -> usize {
        self.0 as usize
    }
}

/// What one entry of `exclude` drops: for each group the rows it matches, `None` for all of them.
pub(crate) type Excluded = Vec<Option<Vec<u32>>>;

/// The points of a job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Space {
    /// For each group its rows in the product, and how many points one step of it skips.
    groups: Vec<(u32, u32)>,
    /// The points of the product that are not excluded, ascending.
    kept: Vec<u32>,
    /// For each included point its row of each group, which may be one beyond the product's.
    included: Vec<Vec<u32>>,
}

/// Why there is no such space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoSpace {
    /// The product has more points than there may be.
    TooMany,
    /// Two points are the same.
    Equal(Point, Point),
    /// Nothing is left.
    Empty,
}

impl Space {
    /// Expands: `groups` has for each group the class of each of its rows, where rows of one class hold
    /// the same values; the first of a class is the class. Rows of includes may lie beyond `product`,
    /// the number of rows that are multiplied.
    pub(crate) fn new(
        groups: &[(u32, Vec<u32>)],
        excluded: &[Excluded],
        included: Vec<Vec<u32>>,
    ) -> (Self, Option<NoSpace>) {
        let none = |why| (Self::default(), Some(why));
        let total = groups.iter().try_fold(1_u64, |total, (rows, _)| {
            total.checked_mul(u64::from(*rows)).filter(|total| *total <= MOST_POINTS)
        });
        let Some(total) = total else { return none(NoSpace::TooMany) };
        let mut step = u32::try_from(total).unwrap_or(u32::MAX);
        let mut strides = Vec::with_capacity(groups.len());
        for (rows, _) in groups {
            step = step.checked_div(*rows).unwrap_or(0);
            strides.push((*rows, step));
        }
        let mut dropped = vec![false; usize::try_from(total).unwrap_or(usize::MAX)];
        for entry in excluded {
            mark(&mut dropped, &strides, entry, 0);
        }
        let kept = (0_u32..).zip(&dropped).filter(|(_, dropped)| !**dropped).map(|(n, _)| n);
        let space = Self { groups: strides, kept: kept.collect(), included };
        let why = match space.equal(groups) {
            Some((first, second)) => Some(NoSpace::Equal(first, second)),
            None if space.len() == 0 => Some(NoSpace::Empty),
            None => None,
        };
        (space, why)
    }

    /// Returns the number of points.
    pub(crate) fn len(&self) -> usize {
        self.kept.len() + self.included.len()
    }

    /// Returns the points: those of the product, then those included.
    pub(crate) fn points(&self) -> impl ExactSizeIterator<Item = Point> + use<> {
        (0..u32::try_from(self.len()).unwrap_or(u32::MAX)).map(Point)
    }

    /// Returns which row of a group a point has.
    pub(crate) fn row(&self, point: Point, group: usize) -> usize {
        let row = match self.kept.get(point.number()) {
            Some(place) => self.groups.get(group).map(|(rows, step)| place / step.max(&1) % rows),
            None => self
                .included
                .get(point.number() - self.kept.len())
                .and_then(|rows| rows.get(group).copied()),
        };
        row.unwrap_or(0) as usize
    }

    /// Finds two points that have the same values.
    fn equal(&self, groups: &[(u32, Vec<u32>)]) -> Option<(Point, Point)> {
        let class = |group: usize, row: usize| {
            groups.get(group).and_then(|(_, classes)| classes.get(row)).copied().unwrap_or(0)
        };
        // The product of rows that differ has no equal points, however many it has.
        let alike = |(_, classes): &(u32, Vec<u32>)| {
            (0_u32..).zip(classes).any(|(row, class)| row != *class)
        };
        let whole = self.points().take(self.kept.len());
        if groups.iter().any(alike) {
            for point in whole {
                let same = self.place((0..groups.len()).map(|g| class(g, self.row(point, g))));
                // What it is equal to is excluded only where it is excluded itself.
                if same != self.kept.get(point.number()).copied()
                    && let Some(first) = same.and_then(|same| self.kept.binary_search(&same).ok())
                {
                    return Some((Point(u32::try_from(first).ok()?), point));
                }
            }
        }
        let mut seen: HashMap<Vec<u32>, Point> = HashMap::new();
        for point in self.points().skip(self.kept.len()) {
            let classes: Vec<u32> =
                (0..groups.len()).map(|group| class(group, self.row(point, group))).collect();
            let product = self.place(classes.iter().copied());
            if let Some(first) = product.and_then(|place| self.kept.binary_search(&place).ok()) {
                return Some((Point(u32::try_from(first).ok()?), point));
            }
            if let Some(first) = seen.insert(classes, point) {
                return Some((first, point));
            }
        }
        None
    }

    /// Returns the number in the product of the point with these rows; `None` if it has no such point.
    fn place(&self, rows: impl Iterator<Item = u32>) -> Option<u32> {
        let mut place = 0;
        for ((count, step), row) in self.groups.iter().zip(rows) {
            if row >= *count {
                return None;
            }
            place += row * step;
        }
        Some(place)
    }
}

/// Marks what an entry excludes, group by group: the work is proportional to what it matches.
fn mark(dropped: &mut [bool], groups: &[(u32, u32)], entry: &[Option<Vec<u32>>], base: u32) {
    let Some(((rows, step), groups)) = groups.split_first() else {
        if let Some(point) = dropped.get_mut(base as usize) {
            *point = true;
        }
        return;
    };
    let (matched, entry) =
        entry.split_first().map_or((&None, entry), |(first, rest)| (first, rest));
    match matched {
        Some(matched) => {
            for row in matched.iter().filter(|row| *row < rows) {
                mark(dropped, groups, entry, base + row * step);
            }
        }
        None => {
            for row in 0..*rows {
                mark(dropped, groups, entry, base + row * step);
            }
        }
    }
}
