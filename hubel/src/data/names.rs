//! Names of classes and files: order, spelling, and lists in a sentence.
use std::cmp::Ordering;
use std::path::Path;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// `name` with composed letters (Unicode's NFC), so that `é` is the same whether it is written as one character or as two.
pub(crate) fn composed(name: &str) -> String {
    match is_nfc(name) {
        true => name.to_owned(),
        false => name.nfc().collect(),
    }
}

/// `name` with decomposed letters (Unicode's NFD), as macOS writes file names.
pub(super) fn decomposed(name: &str) -> String {
    name.nfd().collect()
}

/// The order of classes: integers by value, then other names in natural order (`a2` before `a10`).
pub(super) fn natural_order(one: &str, other: &str) -> Ordering {
    let number = |name: &str| name.parse::<i128>().ok();
    let by_value = match (number(one), number(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => pieces(one).cmp(pieces(other)),
    };
    // `1` and `01`
    by_value.then_with(|| one.cmp(other))
}

/// Whether a file is a table by its extension.
pub(crate) fn is_table(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    ending.eq_ignore_ascii_case("csv") || ending.eq_ignore_ascii_case("tsv")
}

/// A run of digits or a single other letter. A run is compared by its number of digits, then digit by digit, so that it may be of any length.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece<'a> {
    Number(usize, &'a str),
    Letter(char),
}

fn pieces(name: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = name;
    std::iter::from_fn(move || {
        let letter = rest.chars().next()?;
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let length = if digits > 0 {
            digits
        } else {
            letter.len_utf8()
        };
        let (piece, after) = rest.split_at(length);
        rest = after;
        Some(match digits {
            0 => Piece::Letter(letter),
            _ => {
                let value = piece.trim_start_matches('0');
                Piece::Number(value.len(), value)
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn classes_are_in_the_order_that_people_count_in() {
        let mut names = [
            "a10",
            "10",
            "b",
            "a2",
            "-1",
            "2",
            "1",
            "a02",
            "a",
            "é",
            "a2b",
            "99999999999999999999",
        ];
        names.sort_by(|one, other| natural_order(one, other));
        assert_eq!(
            names,
            [
                "-1",
                "1",
                "2",
                "10",
                "99999999999999999999",
                "a",
                "a02",
                "a2",
                "a2b",
                "a10",
                "b",
                "é"
            ]
        );
    }

    proptest! {
        #[test]
        fn the_order_of_classes_is_an_order(names in prop::collection::vec("[-a0-9é]{0,4}", 3)) {
            let order = |a: usize, b: usize| natural_order(&names[a], &names[b]);
            prop_assert_eq!(order(0, 1), order(1, 0).reverse());
            prop_assert_eq!(order(0, 1).is_eq(), names[0] == names[1]);
            if order(0, 1).is_le() && order(1, 2).is_le() {
                prop_assert!(order(0, 2).is_le());
            }
        }
    }

    #[test]
    fn one_letter_in_two_spellings_is_one_name() {
        assert_eq!(composed("cafe\u{301}"), "caf\u{e9}");
        assert_eq!(composed("caf\u{e9}"), "caf\u{e9}");
    }
}
