//! Expansion against the obvious way to do it, and expressions against rationals done by hand.

use std::collections::HashSet;

use proptest::prelude::*;

use super::derive::Expression;
use super::number::Number;
use super::{Excluded, NoSpace, Point, Space};

/// Groups whose rows all differ.
fn distinct(rows: &[u32]) -> Vec<(u32, Vec<u32>)> {
    rows.iter().map(|rows| (*rows, (0..*rows).collect())).collect()
}

fn all(space: &Space, groups: usize) -> Vec<Vec<u32>> {
    let rows = |point| (0..groups).map(|g| u32::try_from(space.row(point, g)).unwrap()).collect();
    space.points().map(rows).collect()
}

/// All combinations, the first group slowest, one after another.
fn product(rows: &[u32]) -> Vec<Vec<u32>> {
    rows.iter().fold(vec![Vec::new()], |points, rows| {
        let longer = |point: &Vec<u32>| {
            let point = point.clone();
            (0..*rows).map(move |row| [point.clone(), vec![row]].concat())
        };
        points.iter().flat_map(longer).collect()
    })
}

#[test]
fn the_first_axis_is_slowest() {
    let (space, why) = Space::new(&distinct(&[2, 3]), &[], Vec::new());
    assert_eq!(why, None);
    let expected = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]];
    assert_eq!(all(&space, 2), expected);
    let (space, _) = Space::new(&[], &[], Vec::new());
    assert_eq!(space.len(), 1, "no axes are one point");
}

#[test]
fn what_is_included_comes_last_and_is_not_excluded() {
    let groups = vec![(2, vec![0, 1, 0]), (2, vec![0, 1, 2])];
    let excluded: Vec<Excluded> = vec![vec![Some(vec![0]), None]];
    let (space, why) = Space::new(&groups, &excluded, vec![vec![2, 2], vec![0, 0]]);
    assert_eq!(why, None);
    assert_eq!(all(&space, 2), [[1, 0], [1, 1], [2, 2], [0, 0]]);
}

#[test]
fn equal_points_are_found_wherever_they_are() {
    let equal = |groups: &[(u32, Vec<u32>)], included: Vec<Vec<u32>>| {
        Space::new(groups, &[], included).1.map(|why| match why {
            NoSpace::Equal(first, second) => (first.number(), second.number()),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(equal(&[(3, vec![0, 1, 0])], vec![]), Some((0, 2)), "a row twice");
    assert_eq!(equal(&[(2, vec![0, 1, 1])], vec![vec![2]]), Some((1, 2)), "included again");
    assert_eq!(
        equal(&[(1, vec![0, 1, 1])], vec![vec![1], vec![2]]),
        Some((1, 2)),
        "included twice"
    );
    assert_eq!(equal(&[(1, vec![0, 1, 2])], vec![vec![1], vec![2]]), None);
}

#[test]
fn too_many_points_are_refused_before_they_are_made() {
    for rows in [vec![10_000_001], vec![100_000, 101], vec![u32::MAX; 9]] {
        let groups: Vec<(u32, Vec<u32>)> = rows.iter().map(|rows| (*rows, Vec::new())).collect();
        assert_eq!(Space::new(&groups, &[], Vec::new()).1, Some(NoSpace::TooMany));
    }
    let excluded = vec![vec![None]];
    assert_eq!(Space::new(&distinct(&[3]), &excluded, Vec::new()).1, Some(NoSpace::Empty));
}

#[test]
fn expressions_keep_integers_whole() {
    for (text, expected) in [
        ("25_000 * 4", "100000"),
        ("1 + 2 * 3 - 4 / 2", "5"),
        ("(1 + 2) * -3", "-9"),
        ("2 - 3 - 4", "-5"),
        ("100 / 5 / 2", "10"),
        ("-7 % 3", "2"),
        ("(0 - 7) % 3", "2"),
        ("min(3, 1, 2) + max(4)", "5"),
        ("floor(7 / 2) + ceil(7 / 2) + round(7 / 2)", "11"),
        ("floor(0 - 7 / 2)", "-4"),
        ("ceil(0 - 7 / 2)", "-3"),
        ("round(0 - 7 / 2)", "-4"),
        ("round(5 / 3 * 3)", "5"),
        (
            "floor(170141183460469231731687303715884105727 / 2)",
            "85070591730234615865843651857942052863",
        ),
        ("1.5 * 3", "4.5"),
        ("1e6", "1000000"),
        ("4Ki", "4096"),
        ("1.0 / 4", "0.25"),
        ("x * x", "49"),
        ("x + param.y", "10"),
    ] {
        let expression = Expression::read(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        let numbers: Vec<Number> = expression
            .names()
            .iter()
            .map(|name| Number::whole(if name.text == "x" { 7 } else { 3 }))
            .collect();
        let found = expression.value(&numbers).map(Number::shown);
        assert_eq!(found.as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn expressions_that_mean_nothing_say_where() {
    for (text, at, part) in [
        ("", 0, "it ends where"),
        ("1 +", 3, "it ends where"),
        ("1 2", 2, "`2` is not expected here"),
        ("(1", 2, "a `)` is missing"),
        ("1 & 2", 2, "`&` is not expected"),
        ("sqrt(2)", 0, "no function `sqrt`"),
        ("2procs", 0, "`2procs` is no number"),
        ("1..2", 0, "`1..2` is no number"),
        ("min()", 4, "`)` is not expected"),
        ("floor(1, 2)", 7, "a `)` is missing"),
        ("é", 0, "`é` is not expected"),
    ] {
        let misread = Expression::read(text).unwrap_err();
        assert_eq!(misread.at, at, "{text}: {misread:?}");
        assert!(misread.what.contains(part), "{text}: {misread:?}");
    }
    for deep in ["(".repeat(500), "-".repeat(500), "max(".repeat(200), "1+".repeat(600)] {
        assert!(Expression::read(&deep).is_err());
    }
    for (text, part) in [
        ("1 / 0", "a division by zero"),
        ("1 % 0", "division by zero"),
        ("7 / 2", "7 / 2 is no whole number"),
        ("floor(1) + 7 / 2", "no whole number"),
        ("170141183460469231731687303715884105727 + 1", "too large"),
        ("170141183460469231731687303715884105727 * 2", "too large"),
        ("1e308 * 10.5 * 1e300", "too large"),
    ] {
        let error = Expression::read(text).unwrap().value(&[]).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

/// An expression with its value by other means: floats of small numbers, which are exact.
fn expression() -> impl Strategy<Value = (String, Option<f64>)> {
    let leaf = prop_oneof![
        (0..100_u32).prop_map(|n| (n.to_string(), Some(f64::from(n)))),
        Just(("x".to_owned(), Some(6.0))),
        Just(("param.y".to_owned(), Some(-4.0))),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let small = |value: f64| (value.abs() < 1e9).then_some(value);
        prop_oneof![
            (inner.clone(), inner.clone(), 0..5_usize).prop_map(
                move |((l, a), (r, b), operator)| {
                    let sign = ["+", "-", "*", "/", "%"][operator];
                    let value = a.zip(b).and_then(|(a, b)| match sign {
                        "+" => small(a + b),
                        "-" => small(a - b),
                        "*" => small(a * b),
                        "/" => (b != 0.0 && (a / b).fract() == 0.0).then(|| a / b),
                        _ => (b != 0.0).then(|| a.rem_euclid(b)),
                    });
                    (format!("({l} {sign} {r})"), value)
                }
            ),
            (inner.clone(), inner.clone(), any::<bool>()).prop_map(|((l, a), (r, b), least)| {
                let value = a.zip(b).map(|(a, b)| if least { a.min(b) } else { a.max(b) });
                (format!("{}({l}, {r})", if least { "min" } else { "max" }), value)
            }),
            (inner.clone(), inner.clone(), 0..3_usize).prop_map(|((l, a), (r, b), rounding)| {
                let name = ["floor", "ceil", "round"][rounding];
                let value = a.zip(b).filter(|(_, b)| *b != 0.0).map(|(a, b)| match name {
                    "floor" => (a / b).floor(),
                    "ceil" => (a / b).ceil(),
                    _ => (a / b).round(),
                });
                (format!("{name}({l} / {r})"), value)
            }),
            inner.prop_map(|(text, value)| (format!("-{text}"), value.map(|value| -value))),
        ]
    })
}

/// Groups, entries of exclude, and included rows.
type Grid = (Vec<u32>, Vec<Excluded>, Vec<Vec<u32>>);

fn grid() -> impl Strategy<Value = Grid> {
    prop::collection::vec(1..5_u32, 0..4).prop_flat_map(|rows| {
        let entry: Vec<_> = rows
            .iter()
            .map(|rows| prop::option::of(prop::collection::vec(0..*rows, 0..3)))
            .collect();
        let row: Vec<_> = rows.iter().map(|rows| 0..rows + 2).collect();
        let excluded = prop::collection::vec(entry, 0..4);
        let included = prop::collection::vec(row, 0..4);
        (Just(rows), excluded, included)
    })
}

proptest! {
    #[test]
    fn expansion_is_the_product_less_the_excluded_with_the_included(
        (rows, excluded, included) in grid()
    ) {
        let groups: Vec<(u32, Vec<u32>)> =
            rows.iter().map(|rows| (*rows, (0..rows + 2).collect())).collect();
        let mut expected = product(&rows);
        expected.retain(|point| {
            !excluded.iter().any(|entry| {
                entry.iter().zip(point).all(|(rows, row)| {
                    rows.as_ref().is_none_or(|rows| rows.contains(row))
                })
            })
        });
        expected.extend(included.iter().cloned());
        let distinct: HashSet<&Vec<u32>> = expected.iter().collect();
        let (space, why) = Space::new(&groups, &excluded, included);
        prop_assert_eq!(all(&space, rows.len()), expected.clone());
        match why {
            Some(NoSpace::Equal(first, second)) => {
                prop_assert!(first < second);
                prop_assert_eq!(&expected[first.number()], &expected[second.number()]);
            }
            Some(NoSpace::Empty) => prop_assert!(expected.is_empty()),
            Some(NoSpace::TooMany) => prop_assert!(false),
            None => prop_assert_eq!(distinct.len(), expected.len()),
        }
    }

    #[test]
    fn rows_of_one_class_make_equal_points(classes in prop::collection::vec(0..3_u32, 1..5)) {
        // A class is its first row.
        let first = |class: u32| classes.iter().position(|c| *c == class).unwrap();
        let group: Vec<u32> = classes.iter().map(|c| u32::try_from(first(*c)).unwrap()).collect();
        let rows = u32::try_from(group.len()).unwrap();
        let alike = group.iter().collect::<HashSet<_>>().len() < group.len();
        let (_, why) = Space::new(&[(2, vec![0, 1]), (rows, group)], &[], Vec::new());
        prop_assert_eq!(matches!(why, Some(NoSpace::Equal(..))), alike);
    }

    #[test]
    fn expressions_are_worth_what_they_say((text, expected) in expression()) {
        prop_assume!(text.len() <= 1000);
        let expression = Expression::read(&text).unwrap();
        let numbers: Vec<Number> = expression
            .names()
            .iter()
            .map(|name| Number::whole(if name.text == "x" { 6 } else { -4 }))
            .collect();
        if let Some(expected) = expected {
            // Within a rounding what is no whole number on the way is no error.
            let found = expression.value(&numbers);
            prop_assert_eq!(found.as_ref().map(|number| number.real()), Ok(expected), "{}", text);
        }
    }

    #[test]
    fn no_expression_is_a_panic(text in "[-+*/%(), 0-9a-z_.eé]{0,40}") {
        if let Ok(expression) = Expression::read(&text) {
            let numbers = vec![Number::whole(i128::MAX); expression.names().len()];
            let _ = expression.value(&numbers);
            let numbers = vec![Number::Real(0.1); expression.names().len()];
            let _ = expression.value(&numbers);
        }
    }
}

#[test]
fn points_count_from_zero() {
    let (space, _) = Space::new(&distinct(&[2]), &[], Vec::new());
    assert_eq!(space.points().map(Point::number).collect::<Vec<_>>(), [0, 1]);
}
