//! Random numbers that depend only on the run and the request, so that no state is shared.

/// Returns a number for a request of a run: the output function of SplitMix64. Different requests
/// of a run have different numbers.
pub(super) fn mix(run: u64, request: u64) -> u64 {
    let state = run.wrapping_add(request.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        // The first outputs of the reference implementation for the seed 0.
        let expected = [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4];
        assert_eq!([mix(0, 0), mix(0, 1)], expected);
    }
}
