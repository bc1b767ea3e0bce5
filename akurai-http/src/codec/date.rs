//! IMF-fixdate, the form of date that HTTP writes (RFC 9110 §5.6.7).

/// `Sun, 06 Nov 1994 08:49:37 GMT`, always 29 bytes.
pub(crate) const DATE_BYTES: usize = 29;

/// The date of this many seconds since 1970-01-01 00:00:00 UTC. Years past 9999 do not fit and are shown as 9999.
pub(crate) fn imf_fixdate(unix_seconds: u64) -> [u8; DATE_BYTES] {
    const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    // 9999-12-31 23:59:59 UTC
    let seconds = unix_seconds.min(253_402_300_799);
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

fn two_digits(place: &mut [u8], number: usize) {
    place[0] = b'0' + (number / 10) as u8;
    place[1] = b'0' + (number % 10) as u8;
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil_from_days(days: usize) -> (usize, usize, usize) {
    // Years are counted from March, so that the leap day is a year's last and every month's start is a straight line.
    // Day 0 of this count is 0000-03-01; 400 years are one era of 146,097 days.
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

    #[test]
    fn days_follow_one_another() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..200_000 {
            assert_eq!(civil_from_days(days), (year, month, day));
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
