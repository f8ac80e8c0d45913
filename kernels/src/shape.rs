//! Lengths of maps, checked: a product that wraps would let every later check pass.

/// The product of sizes, if it fits into a `usize`.
pub(crate) fn product(sizes: impl IntoIterator<Item = usize>) -> Option<usize> {
    sizes.into_iter().try_fold(1_usize, usize::checked_mul)
}

/// Values of `batch` maps of height × width × channels. `None` if their bytes are more than a slice can have.
pub(crate) fn map_len(batch: usize, shape: [usize; 3]) -> Option<usize> {
    let values = product([batch].into_iter().chain(shape))?;
    let bytes = values.checked_mul(size_of::<f32>())?;
    (bytes <= isize::MAX as usize).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_the_product_or_none() {
        assert_eq!(map_len(2, [3, 4, 5]), Some(120));
        assert_eq!(map_len(0, [3, 4, 5]), Some(0));
        let most = isize::MAX as usize / size_of::<f32>();
        assert_eq!(map_len(1, [1, 1, most]), Some(most));
        for (batch, shape) in [
            (1, [1, 1, most + 1]),
            (1 << 62, [2, 2, 1]),
            (1 << 32, [1 << 16, 1 << 16, 1]),
            (usize::MAX, [usize::MAX; 3]),
        ] {
            assert_eq!(map_len(batch, shape), None, "{batch} × {shape:?}");
        }
    }
}
