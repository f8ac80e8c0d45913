//! Dates in UTC, since the standard library knows no time zones.

/// Seconds since 1970 as `2026-11-30 01:28`.
pub(crate) fn utc(seconds: f64) -> String {
    let minutes = (seconds.max(0.0) / 60.0) as i64;
    let (days, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    let [year, month, day] = date(days);
    let (hour, minute) = (minute / 60, minute % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

/// Year, month and day of a day, counted from 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn date(days: i64) -> [i64; 3] {
    // Years begin in March here, so that a leap day is the last day of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    [year, month, day]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_date_u() {
        // date --utc --date=@SECONDS '+%F %R'
        for (seconds, date) in [
            (0.0, "1970-01-01 00:00"),
            (951_782_399.0, "2000-02-28 23:59"),
            (951_782_400.0, "2000-02-29 00:00"),
            (1_709_251_199.9, "2024-02-29 23:59"),
            (1_796_002_080.0, "2026-11-30 01:28"),
            (4_107_542_400.0, "2100-03-01 00:00"),
        ] {
            assert_eq!(utc(seconds), date);
        }
    }
}
