//! Text drawn into a picture, in Noto Sans Mono.
use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

/// Height of a line in pixels.
pub(crate) const HEIGHT: usize = 16;
const WEIGHT: FontWeight = FontWeight::Regular;
const RASTER: RasterHeight = RasterHeight::Size16;
/// Replaces characters that the font lacks.
const UNKNOWN: char = '\u{fffd}';

/// Width of a text in pixels.
pub(crate) fn width(text: &str) -> usize {
    text.chars().filter(|letter| !is_mark(*letter)).count() * get_raster_width(WEIGHT, RASTER)
}

/// Whether every character can be drawn.
pub(crate) fn has_letters_for(text: &str) -> bool {
    text.chars()
        .all(|letter| is_mark(letter) || get_raster(letter, WEIGHT, RASTER).is_some())
}

/// A combining mark, as in macOS's form of `é` in file names; it is left out.
fn is_mark(letter: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&letter)
}

/// The text, shortened with `…` to at most `room` pixels.
fn fitted(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let letters = (room / get_raster_width(WEIGHT, RASTER)).saturating_sub(1);
    let mut shown: String = text
        .chars()
        .filter(|letter| !is_mark(*letter))
        .take(letters)
        .collect();
    shown.truncate(shown.trim_end().len());
    shown.push('…');
    shown
}

/// The words in lines of at most `room` pixels. A longer word gets its own line.
pub(crate) fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one from the beginning");
        if line.is_empty() {
            line.push_str(word);
        } else if width(line) + width(" ") + width(word) <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Writes one line with its upper left corner at (column, row), at most `room` pixels wide.
pub(crate) fn write(
    image: &mut RgbImage,
    (left, top): (usize, usize),
    room: usize,
    text: &str,
    ink: Rgb<u8>,
) {
    let advance = get_raster_width(WEIGHT, RASTER);
    let text = fitted(text, room);
    let letters = text.chars().filter(|letter| !is_mark(*letter));
    for (place, letter) in letters.enumerate() {
        let left = left + place * advance;
        if letter == '…' {
            // The font lacks `…`: three dots on the baseline.
            for dot in [0, 3, 6] {
                put(image, (left + dot, top + 12), 255, ink);
            }
            continue;
        }
        let raster = get_raster(letter, WEIGHT, RASTER)
            .or_else(|| get_raster(UNKNOWN, WEIGHT, RASTER))
            .or_else(|| get_raster('?', WEIGHT, RASTER));
        let rows = raster.iter().flat_map(|raster| raster.rows().enumerate());
        for (row, line) in rows {
            for (column, &coverage) in line.iter().enumerate() {
                put(image, (left + column, top + row), coverage, ink);
            }
        }
    }
}

/// Blends ink into a pixel with a `coverage` of 0 to 255. Pixels outside are ignored.
fn put(image: &mut RgbImage, (column, row): (usize, usize), coverage: u8, ink: Rgb<u8>) {
    let Some(pixel) = image.get_pixel_mut_checked(column as u32, row as u32) else {
        return;
    };
    for (level, ink) in pixel.0.iter_mut().zip(ink.0) {
        let (own, other) = (u32::from(255 - coverage), u32::from(coverage));
        *level = ((u32::from(*level) * own + u32::from(ink) * other + 127) / 255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_to_the_room_and_short_ones_are_not() {
        let advance = get_raster_width(WEIGHT, RASTER);
        assert_eq!(fitted("cat", 3 * advance), "cat");
        assert_eq!(fitted("caterpillar", 7 * advance), "caterp…");
        assert_eq!(fitted("sea lion", 5 * advance), "sea…");
        assert_eq!(fitted("cat", 0), "…");
        for room in 0..200 {
            assert!(width(&fitted("caterpillar", room)) <= room.max(advance));
        }
    }

    #[test]
    fn every_text_can_be_written_and_leaves_ink_only_in_its_room() {
        for text in [
            "cat",
            "Größe",
            "e\u{301}cole",
            "猫",
            "кот",
            "🐈",
            "a\u{0}\u{7f}\n",
            "…",
            "",
        ] {
            let mut image = RgbImage::from_pixel(60, 30, Rgb([255; 3]));
            write(&mut image, (5, 7), 50, text, Rgb([0; 3]));
            let inked: Vec<(u32, u32)> = (image.enumerate_pixels())
                .filter(|(_, _, pixel)| pixel.0[0] < 255)
                .map(|(column, row, _)| (column, row))
                .collect();
            assert_eq!(inked.is_empty(), text.is_empty(), "{text:?}");
            assert!(
                inked
                    .iter()
                    .all(|(column, row)| (5..55).contains(column) && (7..23).contains(row))
            );
            // At the edge, too.
            write(&mut image, (58, 25), 50, text, Rgb([0; 3]));
        }
        assert!(has_letters_for("Größe, e\u{301}cole") && !has_letters_for("猫"));
    }
}
