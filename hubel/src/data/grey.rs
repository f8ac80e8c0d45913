//! Grey and colour, pixel by pixel.

/// Grey from colour by the weights of Rec. 709; equal levels do not change.
pub(crate) fn luma(red: u8, green: u8, blue: u8) -> u8 {
    let sum = 2126 * u32::from(red) + 7152 * u32::from(green) + 722 * u32::from(blue);
    ((sum + 5000) / 10_000) as u8
}

/// Largest difference between the channels of a grey pixel, in levels, after lossy coding.
const GREY: u8 = 8;

/// Whether all pixels `[n, 3]` are grey.
pub(crate) fn is_grey(pixels: &[u8]) -> bool {
    pixels.chunks_exact(3).all(|pixel| {
        let (low, high) = (pixel.iter().min(), pixel.iter().max());
        low.zip(high).is_some_and(|(low, high)| high - low <= GREY)
    })
}
