//! Random numbers that belong to an index, not to whoever computes it.

/// Returns 64 random bits that depend on (seed, index) alone (SplitMix64, Steele et al. 2014).
///
/// Whichever rank asks, in whichever order: so a kernel that uses it gives the same results for any
/// number of ranks.
///
/// ```
/// assert_eq!(spmd::random_bits(1, 7), spmd::random_bits(1, 7));
/// assert_ne!(spmd::random_bits(1, 7), spmd::random_bits(2, 7));
/// ```
#[must_use]
pub const fn random_bits(seed: u64, index: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0xd134_2543_de82_ef95)
        .wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
