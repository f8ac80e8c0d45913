//! The windows on the padded input, as a picture and as text.
use image::Rgb;

use super::{Outcome, Setting};
use crate::Drawing;
use crate::drawing::{FAINT, INK, PAPER};
use crate::lab::Picture;

/// Most combinations that are drawn, and most rows of a drawn padded input.
const DRAWN: usize = 6;
const DRAWN_ROWS: usize = 48;

/// The combinations that are drawn: first those that drop rows.
pub(super) fn pictures(outcomes: &[Outcome]) -> Vec<Picture> {
    let drawn = outcomes
        .iter()
        .filter(|outcome| outcome.floor.is_some() && outcome.setting.padded() <= DRAWN_ROWS);
    let mut drawn: Vec<&Outcome> = drawn.collect();
    drawn.sort_by_key(|outcome| outcome.dropped == 0);
    drawn.into_iter().take(DRAWN).map(picture).collect()
}

fn picture(outcome: &Outcome) -> Picture {
    let setting = outcome.setting;
    let Setting {
        input,
        kernel,
        padding,
        stride,
    } = setting;
    let rows = |count: usize| if count == 1 { "row" } else { "rows" };
    let dropped = match outcome.dropped {
        0 => "every row is read".into(),
        count => format!("{count} {} dropped", rows(count)),
    };
    let output = outcome.floor.unwrap_or(0);
    Picture {
        name: format!("{input}-{kernel}-{padding}-{stride}"),
        caption: format!("{}: output {output}, {dropped}", setting.in_words()),
        drawing: drawing(outcome),
        text: Some(in_letters(outcome)),
    }
}

/// The kind of a row or column of the padded input.
#[derive(Clone, Copy, PartialEq)]
enum Row {
    Padding,
    Read,
    Dropped,
}

fn rows(outcome: &Outcome) -> Vec<Row> {
    let setting = outcome.setting;
    let end = setting.padding + setting.input;
    (0..setting.padded())
        .map(|row| match row {
            row if row < setting.padding || row >= end => Row::Padding,
            row if row >= end - outcome.dropped => Row::Dropped,
            _ => Row::Read,
        })
        .collect()
}

/// Most windows that are drawn as text.
const WINDOWS: usize = 6;

/// The padded input as a line, and the windows under it.
fn in_letters(outcome: &Outcome) -> String {
    let line = rows(outcome).into_iter().map(|row| match row {
        Row::Padding => '·',
        Row::Read => '■',
        Row::Dropped => '□',
    });
    let mut text: String = line.collect();
    let setting = outcome.setting;
    let window = match setting.kernel {
        1 => "│".to_owned(),
        kernel => format!("├{}┤", "─".repeat(kernel - 2)),
    };
    for row in setting.starts().take(WINDOWS) {
        text += &format!("\n{}{window}", " ".repeat(row));
    }
    if outcome.counted > WINDOWS {
        text += &format!("\n… {} windows", outcome.counted);
    }
    text
}

/// Largest side of a drawing, in pixels.
const SIDE: usize = 336;
/// The colours of read cells, of dropped cells, and of the first window.
const READ: Rgb<u8> = Rgb([164, 200, 236]);
const DROPPED: Rgb<u8> = Rgb([226, 96, 78]);

/// The padded input: read cells, dropped cells, the first window, and the upper left corner of each window.
fn drawing(outcome: &Outcome) -> Drawing {
    let setting = outcome.setting;
    let cell = (SIDE / setting.padded()).clamp(6, 28);
    let side = setting.padded() * cell + 1;
    let mut drawing = Drawing::blank(side, side);
    let rows = rows(outcome);
    for (y, row) in rows.iter().enumerate() {
        for (x, column) in rows.iter().enumerate() {
            let colour = match [row, column] {
                [Row::Padding, _] | [_, Row::Padding] => PAPER,
                [Row::Dropped, _] | [_, Row::Dropped] => DROPPED,
                _ => READ,
            };
            drawing.fill([y * cell, x * cell], [cell + 1; 2], FAINT);
            drawing.fill([y * cell + 1, x * cell + 1], [cell - 1; 2], colour);
        }
    }
    let dot = (cell / 4).max(2);
    let corner = (cell - dot) / 2;
    for y in setting.starts() {
        for x in setting.starts() {
            drawing.fill([y * cell + corner, x * cell + corner], [dot; 2], INK);
        }
    }
    let (reach, line) = (setting.kernel * cell + 1, 3.min(cell / 2));
    for [top, left, height, width] in [
        [0, 0, line, reach],
        [reach - line, 0, line, reach],
        [0, 0, reach, line],
        [0, reach - line, reach, line],
    ] {
        drawing.fill([top, left], [height, width], INK);
    }
    drawing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_window_reads_is_seen() {
        let setting = Setting {
            input: 7,
            kernel: 3,
            padding: 0,
            stride: 3,
        };
        let outcome = setting.outcome().expect("it is computed");
        assert_eq!(in_letters(&outcome), "■■■■■■□\n├─┤\n   ├─┤");
        let picture = picture(&outcome);
        assert_eq!(
            picture.caption,
            "input 7, kernel 3, padding 0, stride 3: output 2, 1 row dropped"
        );
        let pixels = picture.drawing.pixels().chunks_exact(3);
        // The cells of the last row and of the last column; they share one.
        assert_eq!(
            pixels.filter(|pixel| *pixel == DROPPED.0).count(),
            13 * 27 * 27
        );
    }
}
