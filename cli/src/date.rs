//! Dates in UTC.
use chrono::{DateTime, SecondsFormat, Utc};

/// Seconds since 1970 as `2026-11-30 01:28`.
pub(crate) fn utc(seconds: f64) -> String {
    let time = DateTime::from_timestamp(seconds.max(0.0) as i64, 0);
    time.map_or_else(|| "?".into(), |time| time.format("%F %R").to_string())
}

/// Now, as in TOML: `2026-11-30T01:28:03Z`.
pub(crate) fn now() -> String {
    let now = DateTime::<Utc>::from(std::time::SystemTime::now());
    now.to_rfc3339_opts(SecondsFormat::Secs, true)
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
