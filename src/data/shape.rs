//! The shape of an array: how many elements, along which dimensions.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Explained};

/// The most elements an array may have: 2^40, so that no size in bytes overflows.
pub(crate) const MAX_ELEMENTS: u64 = 1 << 40;

/// The most dimensions an array may have, as in every NumPy before 2.0.
pub(crate) const MAX_DIMS: usize = 32;

/// The length of an array along each of its dimensions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u64>", into = "Vec<u64>")]
pub struct Shape(Vec<u64>);

impl Shape {
    /// Returns the shape with these dimensions, unless it has too many of them or of elements.
    pub fn new(dims: impl Into<Vec<u64>>) -> Result<Self, Error> {
        let shape = Self(dims.into());
        if shape.0.len() > MAX_DIMS {
            let found = shape.0.len();
            return Err(Error::rejected(format!(
                "array has {found} dimensions; at most {MAX_DIMS} are supported"
            )));
        }
        // Each dimension by itself too: beside a zero, any other would pass as a product.
        if let Some(dim) = shape.0.iter().find(|dim| **dim > MAX_ELEMENTS) {
            return Err(too_large(&shape, format!("a dimension of {dim}")));
        }
        match shape.product() {
            Some(n) if n <= MAX_ELEMENTS => Ok(shape),
            Some(n) => Err(too_large(&shape, format!("{n} elements"))),
            None => Err(too_large(&shape, "2^64 elements or more".to_owned())),
        }
    }

    /// Returns the shape of `n` elements in one line.
    ///
    /// For a count that is known to be in memory; one that somebody typed, or that a file claims,
    /// goes through [`Shape::new`].
    #[must_use]
    pub fn line(n: u64) -> Self {
        Self(vec![n])
    }

    /// Returns the length along each dimension.
    #[must_use]
    pub fn dims(&self) -> &[u64] {
        &self.0
    }

    /// Returns the number of elements: one for the shape without dimensions.
    #[must_use]
    pub fn elements(&self) -> u64 {
        // Checked when it was made: the fallback cannot happen.
        self.product().unwrap_or(u64::MAX)
    }

    fn product(&self) -> Option<u64> {
        // Zero first, so that the order of the dimensions does not decide what overflows.
        if self.0.contains(&0) {
            return Some(0);
        }
        self.0.iter().try_fold(1_u64, |product, dim| product.checked_mul(*dim))
    }
}

fn too_large(shape: &Shape, found: String) -> Error {
    Error::rejected(
        Explained::new(format!("shape `{shape}` has {found}"))
            .hint(format!("an array may have up to 2^40 = {MAX_ELEMENTS} elements")),
    )
}

impl TryFrom<Vec<u64>> for Shape {
    type Error = Error;

    fn try_from(dims: Vec<u64>) -> Result<Self, Error> {
        Self::new(dims)
    }
}

impl From<Shape> for Vec<u64> {
    fn from(shape: Shape) -> Self {
        shape.0
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [n] => write!(f, "({n},)"),
            dims => {
                f.write_str("(")?;
                for (i, dim) in dims.iter().enumerate() {
                    let separator = if i == 0 { "" } else { ", " };
                    write!(f, "{separator}{dim}")?;
                }
                f.write_str(")")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_numpy_does() {
        for (dims, text) in [(vec![], "()"), (vec![5], "(5,)"), (vec![2, 3], "(2, 3)")] {
            assert_eq!(Shape::new(dims).unwrap().to_string(), text);
        }
    }

    #[test]
    fn counts_elements() {
        for (dims, n) in [
            (vec![], 1),
            (vec![0], 0),
            (vec![2, 3, 4], 24),
            (vec![1 << 40], 1 << 40),
            (vec![1 << 40, 1 << 40, 0], 0),
        ] {
            assert_eq!(Shape::new(dims).unwrap().elements(), n);
        }
        assert_eq!(Shape::line(7), Shape::new([7]).unwrap());
    }

    #[test]
    fn refuses_too_much_and_says_how_much() {
        for (dims, message) in [
            (vec![(1 << 40) + 1], "shape `(1099511627777,)` has a dimension of 1099511627777"),
            (vec![1 << 20, 1 << 21], "shape `(1048576, 2097152)` has 2199023255552 elements"),
            (vec![1 << 40; 2], "shape `(1099511627776, 1099511627776)` has 2^64 elements or more"),
            (vec![1; 33], "array has 33 dimensions; at most 32 are supported"),
        ] {
            assert_eq!(Shape::new(dims).unwrap_err().to_string(), message);
        }
        assert!(Shape::new([u64::MAX, 0]).is_err());
    }

    #[test]
    fn is_a_checked_list_in_json() {
        let shape: Shape = serde_json::from_str("[2,3]").unwrap();
        assert_eq!(serde_json::to_string(&shape).unwrap(), "[2,3]");
        assert!(serde_json::from_str::<Shape>("[1099511627776,2]").is_err());
    }
}
