//! The loops over memory: plain, as a compiler makes them of what a kernel says.

/// How many sums are kept, so that no addition waits for the one before.
const LANES: usize = 16;

/// Adds up an array.
#[inline(never)]
pub(super) fn read(b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (groups, rest) = b.as_chunks::<LANES>();
    for group in groups {
        // By number: an iterator over both may be a call, in each group.
        for lane in 0..LANES {
            sums[lane] += group[lane];
        }
    }
    sums.iter().sum::<f64>() + rest.iter().sum::<f64>()
}

/// a = s a.
#[inline(never)]
pub(super) fn update(a: &mut [f64], s: f64) {
    for value in a {
        *value *= s;
    }
}

/// c = b, bit by bit through registers where `key` is 0: a compiler that knew it would call `memcpy`,
/// which may go round the caches.
#[inline(never)]
pub(super) fn copy(c: &mut [f64], b: &[f64], key: u64) {
    for (to, from) in c.iter_mut().zip(b) {
        *to = f64::from_bits(from.to_bits() ^ key);
    }
}

/// a = b + s c.
#[inline(never)]
pub(super) fn triad(a: &mut [f64], b: &[f64], c: &[f64], s: f64) {
    for ((to, b), c) in a.iter_mut().zip(b).zip(c) {
        *to = b + s * c;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loop_does_what_its_name_says_to_every_element() {
        let values = |n: usize| (0..n).map(|i| 1.0 + i as f64).collect::<Vec<f64>>();
        for n in [0, 1, 15, 16, 17, 1000] {
            let (mut a, b) = (values(n), values(n));
            let sum = n as f64 * (n as f64 + 1.0) / 2.0;
            assert_eq!(read(&a), sum);
            update(&mut a, -1.0);
            assert_eq!(read(&a), -sum);
            let mut c = vec![0.0; n];
            copy(&mut c, &a, 0);
            assert_eq!(c, a);
            triad(&mut a, &b, &c, 0.5);
            assert!(a.iter().zip(&b).all(|(a, b)| *a == b * 0.5));
        }
    }
}
