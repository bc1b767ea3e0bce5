//! HTTP dates: reads a response's date as seconds, and writes a request's dates.

use std::time::{SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The seconds since 1970 that an IMF-fixdate names (RFC 9110 §5.6.7), `None` if `text` is not
/// exactly one, its day of the week included: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn imf_fixdate_seconds(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let shape = b"Aaa, 00 Aaa 0000 00:00:00 GMT";
    let fits = bytes.len() == shape.len()
        && bytes.iter().zip(shape).all(|(byte, like)| match like {
            b'0' => byte.is_ascii_digit(),
            b'A' => byte.is_ascii_uppercase(),
            b'a' => byte.is_ascii_lowercase(),
            _ => byte == like,
        });
    if !fits {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().ok();
    let (day, year) = (number(5, 7)?, number(12, 16)?);
    let month = MONTHS.iter().position(|name| *name == &text[8..11])?;
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    if year < 1970 || day == 0 || day > days_in(month, year) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = (1970..year).map(days_of).sum::<u64>()
        + (0..month).map(|month| days_in(month, year)).sum::<u64>()
        + (day - 1);
    if DAYS[(days % 7) as usize] != &text[..3] {
        return None;
    }
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// The same second in the three forms of RFC 9110 §5.6.7, in its order: IMF-fixdate, RFC 850,
/// asctime.
pub fn http_dates(seconds: u64) -> [String; 3] {
    const LONG_DAYS: [&str; 7] = [
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "Monday",
        "Tuesday",
        "Wednesday",
    ];
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let weekday = (days % 7) as usize;
    let mut year = 1970;
    while days >= days_of(year) {
        days -= days_of(year);
        year += 1;
    }
    let mut month = 0;
    while days >= days_in(month, year) {
        days -= days_in(month, year);
        month += 1;
    }
    let (day, month, short) = (days + 1, MONTHS[month], year % 100);
    let (name, long_name) = (DAYS[weekday], LONG_DAYS[weekday]);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let time = format!("{hour:02}:{minute:02}:{second:02}");
    [
        format!("{name}, {day:02} {month} {year:04} {time} GMT"),
        format!("{long_name}, {day:02}-{month}-{short:02} {time} GMT"),
        format!("{name} {month} {day:2} {time} {year:04}"),
    ]
}

/// The seconds since 1970 by the system's clock.
pub fn unix_seconds_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn is_leap(year: u64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_of(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_in(month: usize, year: u64) -> u64 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_5_6_7_dates() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Tue, 29 Feb 2000 12:00:00 GMT", Some(951_825_600)),
            ("Mon, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 06-Nov-1994 08:49:37 GMT", None),
            ("Sun Nov  6 08:49:37 1994", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("Tue, 30 Feb 2000 12:00:00 GMT", None),
            ("", None),
        ] {
            assert_eq!(imf_fixdate_seconds(text), seconds, "{text}");
        }
    }

    #[test]
    fn rfc9110_5_6_7_three_forms() {
        assert_eq!(
            http_dates(784_111_777),
            [
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "Sunday, 06-Nov-94 08:49:37 GMT",
                "Sun Nov  6 08:49:37 1994"
            ]
        );
        for seconds in [0, 951_825_600, 1_700_000_000, 4_102_444_799, 4_102_444_800] {
            assert_eq!(imf_fixdate_seconds(&http_dates(seconds)[0]), Some(seconds));
        }
    }
}
