//! Shows shares as people give them.

/// A share in percent, with all of its digits: `in_percent(0.07)` is `7 %`.
///
/// 100 × 0.07 is 7.000000000000001 in binary, so the text has 12 digits at most.
pub fn in_percent(share: f64) -> String {
    let rounded = format!("{:.11e}", 100.0 * share).parse::<f64>();
    format!("{} %", rounded.expect("it was written as a number"))
}

#[cfg(test)]
mod tests {
    use super::in_percent;

    #[test]
    fn shares_are_shown_as_they_were_given() {
        for (share, text) in [
            (0.07, "7 %"),
            (0.005, "0.5 %"),
            (0.29, "29 %"),
            (0.000_1, "0.01 %"),
            (1.0, "100 %"),
            (0.0, "0 %"),
            (0.123_45, "12.345 %"),
        ] {
            assert_eq!(in_percent(share), text);
        }
    }
}
