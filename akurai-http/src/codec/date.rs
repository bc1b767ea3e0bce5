//! Dates of HTTP: this module writes IMF-fixdate and reads all three forms (RFC 9110 §5.6.7).

/// `Sun, 06 Nov 1994 08:49:37 GMT`, always 29 bytes.
pub(crate) const DATE_BYTES: usize = 29;

/// 9999-12-31 23:59:59 UTC
const LAST_SECOND: u64 = 253_402_300_799;

const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// The date of this many seconds since 1970-01-01 00:00:00 UTC. A year after 9999 does not fit: the
/// result is the last second of 9999.
pub(crate) fn imf_fixdate(unix_seconds: u64) -> [u8; DATE_BYTES] {
    let seconds = unix_seconds.min(LAST_SECOND);
    let (days, time) = ((seconds / 86_400) as usize, (seconds % 86_400) as usize);
    let (year, month, day) = civil_from_days(days);

    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    date[..3].copy_from_slice(&DAYS[days % 7 * 3..][..3]);
    two_digits(&mut date[5..7], day);
    date[8..11].copy_from_slice(&MONTHS[(month - 1) * 3..][..3]);
    two_digits(&mut date[12..14], year / 100);
    two_digits(&mut date[14..16], year % 100);
    two_digits(&mut date[17..19], time / 3600);
    two_digits(&mut date[20..22], time / 60 % 60);
    two_digits(&mut date[23..25], time % 60);
    date
}

/// `1994-11-06 08:49`, for people to read.
pub(crate) fn iso_minutes(unix_seconds: u64) -> String {
    let mut date = rfc3339(unix_seconds.saturating_mul(1000));
    date.truncate("1994-11-06T08:49".len());
    date.replace('T', " ")
}

/// `1994-11-06T08:49:37.000Z` (RFC 3339), of this many milliseconds since 1970-01-01 00:00:00 UTC.
pub(crate) fn rfc3339(unix_millis: u64) -> String {
    let (seconds, millis) = ((unix_millis / 1000).min(LAST_SECOND), unix_millis % 1000);
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_from_days(days as usize);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

fn two_digits(place: &mut [u8], number: usize) {
    place[0] = b'0' + (number / 10) as u8;
    place[1] = b'0' + (number % 10) as u8;
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil_from_days(days: usize) -> (usize, usize, usize) {
    // Years are counted from March. So the leap day is the last day of a year, and a linear formula
    // gives the first day of each month. Day 0 of this count is 0000-03-01; 400 years are one era
    // of 146,097 days.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + usize::from(month <= 2);
    (year, month, day)
}

/// The seconds since 1970-01-01 00:00:00 UTC of a date in any of the three forms; `None` if the
/// text is no such date.
///
/// `now`, also in seconds since 1970, decides the century of a two-digit year. The day's name is
/// read, but need not match the date.
pub(crate) fn http_date(text: &[u8], now: u64) -> Option<i64> {
    let comma = text.iter().position(|&byte| byte == b',');
    match comma {
        Some(3) => imf_date(text),
        Some(_) => rfc850_date(text, now),
        None => asctime_date(text),
    }
}

// IMF-fixdate = day-name "," SP day SP month SP year SP time-of-day SP GMT
//   Sun, 06 Nov 1994 08:49:37 GMT
fn imf_date(text: &[u8]) -> Option<i64> {
    let (name, rest) = text.split_first_chunk::<3>()?;
    let (date, rest) = rest.strip_prefix(b", ")?.split_first_chunk::<11>()?;
    let &[d0, d1, b' ', m0, m1, m2, b' ', ref year @ ..] = date else {
        return None;
    };
    let time = rest.strip_prefix(b" ")?.strip_suffix(b" GMT")?;
    is_day(name).then_some(())?;
    seconds(
        number(year)?,
        month(&[m0, m1, m2])?,
        number(&[d0, d1])?,
        time,
    )
}

// rfc850-date = day-name-l "," SP day "-" month "-" 2DIGIT SP time-of-day SP GMT
//   Sunday, 06-Nov-94 08:49:37 GMT
fn rfc850_date(text: &[u8], now: u64) -> Option<i64> {
    const NAMES: [&[u8]; 7] = [
        b"Monday",
        b"Tuesday",
        b"Wednesday",
        b"Thursday",
        b"Friday",
        b"Saturday",
        b"Sunday",
    ];
    let name = NAMES.into_iter().find(|&name| text.starts_with(name))?;
    let (date, rest) = text[name.len()..]
        .strip_prefix(b", ")?
        .split_first_chunk::<9>()?;
    let &[d0, d1, b'-', m0, m1, m2, b'-', y0, y1] = date else {
        return None;
    };
    let time = rest.strip_prefix(b" ")?.strip_suffix(b" GMT")?;
    let (this_year, _, _) = civil_from_days((now / 86_400) as usize);
    // A date that seems to be more than 50 years in the future is the last one in the past with
    // these digits.
    let mut year = this_year / 100 * 100 + number(&[y0, y1])?;
    if year > this_year + 50 {
        year -= 100;
    }
    seconds(year, month(&[m0, m1, m2])?, number(&[d0, d1])?, time)
}

// asctime-date = day-name SP month SP ( 2DIGIT / ( SP DIGIT ) ) SP time-of-day SP year
//   Sun Nov  6 08:49:37 1994
fn asctime_date(text: &[u8]) -> Option<i64> {
    let text: &[u8; 24] = text.try_into().ok()?;
    let (name, rest) = text.split_first_chunk::<3>()?;
    let &[b' ', m0, m1, m2, b' ', d0, d1, b' ', ref rest @ ..] = rest else {
        return None;
    };
    let (time, year) = rest.split_at(8);
    let day = match d0 {
        b' ' => number(&[d1])?,
        _ => number(&[d0, d1])?,
    };
    is_day(name).then_some(())?;
    seconds(
        number(year.strip_prefix(b" ")?)?,
        month(&[m0, m1, m2])?,
        day,
        time,
    )
}

fn is_day(name: &[u8; 3]) -> bool {
    DAYS.chunks_exact(3).any(|known| known == name)
}

/// 1 to 12.
fn month(name: &[u8; 3]) -> Option<usize> {
    let at = MONTHS.chunks_exact(3).position(|known| known == name)?;
    Some(at + 1)
}

fn number(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Some(number * 10 + usize::from(digit - b'0')),
        _ => None,
    })
}

// time-of-day = hour ":" minute ":" second                 ; 00:00:00 - 23:59:60 (leap second)
fn seconds(year: usize, month: usize, day: usize, time: &[u8]) -> Option<i64> {
    let &[h0, h1, b':', m0, m1, b':', s0, s1] = time else {
        return None;
    };
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[m0, m1])?, number(&[s0, s1])?);
    let first = days_from_civil(year, month, 1);
    let next = match month {
        12 => days_from_civil(year + 1, 1, 1),
        month => days_from_civil(year, month + 1, 1),
    };
    let days = first + day as i64 - 1;
    if hour > 23 || minute > 59 || second > 60 || !(first..next).contains(&days) {
        return None;
    }
    Some(days * 86_400 + (hour * 3600 + minute * 60 + second) as i64)
}

/// The day of a date, counted from 1970-01-01: the inverse of [`civil_from_days`].
fn days_from_civil(year: usize, month: usize, day: usize) -> i64 {
    let year = year as i64 - i64::from(month <= 2);
    let month_from_march = (month as i64 + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day as i64 - 1;
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_5_6_7_imf_fixdate() {
        for (seconds, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            let got = imf_fixdate(seconds);
            assert_eq!(std::str::from_utf8(&got), Ok(date));
        }
    }

    /// 2026-11-25
    const NOW: u64 = 1_795_564_800;

    #[test]
    fn rfc9110_5_6_7_all_three_forms() {
        for (text, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Sun Nov 16 08:49:37 1994", Some(784_975_777)),
            ("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400)),
            ("Wed, 31 Dec 1969 23:59:59 GMT", Some(-1)),
            ("Sat, 30 Jun 2012 23:59:60 GMT", Some(1_341_100_800)),
            // We do not check the day's name.
            ("Mon, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            // Two digits: at most 50 years ahead.
            ("Friday, 01-Jan-76 00:00:00 GMT", Some(3_345_062_400)),
            ("Saturday, 01-Jan-77 00:00:00 GMT", Some(220_924_800)),
            ("", None),
            ("0", None),
            ("784111777", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 06 Nov 1994 08:49:37 +0000", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT ", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 nov 1994 08:49:37 GMT", None),
            ("Xyz, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 24:00:00 GMT", None),
            ("Sun, 06 Nov 1994 08:60:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:61 GMT", None),
            ("Sun, 00 Nov 1994 08:49:37 GMT", None),
            ("Sun, 31 Nov 1994 08:49:37 GMT", None),
            ("Thu, 29 Feb 1900 00:00:00 GMT", None),
            ("Mon, 29 Feb 2100 00:00:00 GMT", None),
            ("Sun, 06-Nov-94 08:49:37 GMT", None),
            ("Sunday, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun Nov 6 08:49:37 1994", None),
            ("Sun Nov  6 08:49:37 1994 GMT", None),
        ] {
            assert_eq!(http_date(text.as_bytes(), NOW), seconds, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for seconds in (0..253_402_300_799).step_by(86_400 * 97 + 12_345) {
            let date = imf_fixdate(seconds);
            assert_eq!(http_date(&date, NOW), Some(seconds as i64));
        }
    }

    #[test]
    fn days_follow_one_another() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..200_000 {
            assert_eq!(civil_from_days(days), (year, month, day));
            assert_eq!(days_from_civil(year, month, day), days as i64);
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }
}
