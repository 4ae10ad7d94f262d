/* Times, in UTC, as `as_moment` of values.py reads them. */

#include "moments.h"

#include "numbers.h"

enum { SECONDS_OF_DAY = 86400, MICROSECONDS = 1000000 };

/* Milliseconds that Python's float of seconds still tells apart from their neighbours for sure. */
static const int64_t MOST_MILLISECONDS = 4294967296ll * 1000;
static const int64_t MILLISECONDS_FROM = 100000000000ll;
static const double MOST_EPOCH = 253402300800e3; /* the year 10,000 */

struct scan {
    const char *at, *end;
};

/* A number of exactly so many digits. */
static bool take_digits(struct scan *scan, int n_digits, int32_t *number) {
    if (scan->end - scan->at < n_digits) return false;
    *number = 0;
    for (int i = 0; i < n_digits; i++, scan->at++) {
        if (!is_digit(*scan->at)) return false;
        *number = 10 * *number + (*scan->at - '0');
    }
    return true;
}

static bool take_one(struct scan *scan, char c) {
    if (scan->at == scan->end || *scan->at != c) return false;
    scan->at++;
    return true;
}

static bool is_leap(int32_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

static int32_t days_in(int32_t year, int32_t month) {
    static const int32_t DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : DAYS[month - 1];
}

/* With hyphens or without. */
static bool take_date(struct scan *scan, struct moment *moment) {
    if (!take_digits(scan, 4, &moment->year)) return false;
    const bool has_hyphens = take_one(scan, '-');
    return take_digits(scan, 2, &moment->month) && (!has_hyphens || take_one(scan, '-')) &&
           take_digits(scan, 2, &moment->day) && moment->year >= 1 && moment->month >= 1 &&
           moment->month <= 12 && moment->day >= 1 &&
           moment->day <= days_in(moment->year, moment->month);
}

/* Of a second what is told, to the microsecond; the rest is cut off. */
static bool take_fraction(struct scan *scan, int32_t *microsecond) {
    int n_digits = 0;
    for (; scan->at < scan->end && is_digit(*scan->at); scan->at++, n_digits++)
        if (n_digits < 6) *microsecond = 10 * *microsecond + (*scan->at - '0');
    for (int i = n_digits; i < 6; i++) *microsecond *= 10;
    return n_digits > 0;
}

/* With colons or without. */
static bool take_time(struct scan *scan, struct moment *moment) {
    if (!take_digits(scan, 2, &moment->hour)) return false;
    const bool has_colons = take_one(scan, ':');
    if (!take_digits(scan, 2, &moment->minute)) return false;
    if (moment->hour > 23 || moment->minute > 59) return false;
    if (has_colons ? !take_one(scan, ':') : scan->at == scan->end || !is_digit(*scan->at))
        return true;
    if (!take_digits(scan, 2, &moment->second) || moment->second > 59) return false;
    return !take_one(scan, '.') || take_fraction(scan, &moment->microsecond);
}

/* How far ahead of UTC the clock is, in seconds. */
static bool take_offset(struct scan *scan, int32_t *offset) {
    int32_t hours, minutes;
    *offset = 0;
    if (scan->at == scan->end || take_one(scan, 'Z')) return true;
    const bool is_behind = *scan->at == '-';
    if (!is_behind && *scan->at != '+') return false;
    scan->at++;
    if (!take_digits(scan, 2, &hours)) return false;
    const bool is_cut = scan->at == scan->end; /* as PostgreSQL writes it: +00 */
    if (is_cut) minutes = 0;
    else take_one(scan, ':');
    if (!is_cut && !take_digits(scan, 2, &minutes)) return false;
    if (hours > 23 || minutes > 59) return false;
    *offset = (hours * 60 + minutes) * (is_behind ? -60 : 60);
    return true;
}

/* Days since 1970, and back: Howard Hinnant, chrono-Compatible Low-Level Date Algorithms. */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day) {
    year -= month <= 2;
    const int64_t era = year / 400, of_era = year - era * 400;
    const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void set_date(struct moment *moment, int64_t days) {
    days += 719468;
    const int64_t era = days / 146097, of_era = days - era * 146097;
    const int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    const int64_t shifted = (5 * of_year + 2) / 153;
    moment->day = (int32_t)(of_year - (153 * shifted + 2) / 5 + 1);
    moment->month = (int32_t)(shifted < 10 ? shifted + 3 : shifted - 9);
    moment->year = (int32_t)(year + era * 400 + (moment->month <= 2));
}

/* From 0001-03-01 on, before which these days would be below 0. */
static bool set_from_seconds(struct moment *moment, int64_t seconds) {
    int64_t days = seconds / SECONDS_OF_DAY, rest = seconds % SECONDS_OF_DAY;
    if (rest < 0) rest += SECONDS_OF_DAY, days--;
    if (days + 719468 < 366) return false;
    set_date(moment, days);
    moment->hour = (int32_t)(rest / 3600);
    moment->minute = (int32_t)(rest / 60 % 60);
    moment->second = (int32_t)(rest % 60);
    return moment->year <= 9999;
}

static bool to_utc(struct moment *moment, int32_t offset) {
    if (!offset) return true;
    const int64_t days = days_since_1970(moment->year, moment->month, moment->day);
    const int64_t time = (moment->hour * 60 + moment->minute) * 60 + moment->second;
    return set_from_seconds(moment, days * SECONDS_OF_DAY + time - offset);
}

static bool read_digits(const char *at, int64_t size, struct moment *moment) {
    int64_t number = 0;
    for (int64_t i = 0; i < size; i++) number = 10 * number + (at[i] - '0');
    if (number < MILLISECONDS_FROM) return set_from_seconds(moment, number);
    if (number >= MOST_MILLISECONDS) return false;
    moment->microsecond = (int32_t)(number % 1000 * 1000);
    return set_from_seconds(moment, number / 1000);
}

/* To the microsecond, half ones to the even one, as Python does. */
bool read_epoch(const char *at, int64_t size, struct moment *moment) {
    double number;
    if (!read_float(at, size, &number) || !(number >= 0 && number < MOST_EPOCH)) return false;
    const double seconds = number >= (double)MILLISECONDS_FROM ? number / 1000 : number;
    int64_t whole = (int64_t)seconds;
    const double rest = (seconds - (double)whole) * MICROSECONDS;
    int32_t microsecond = (int32_t)rest;
    const double half = rest - microsecond;
    if (half > 0.5 || (half == 0.5 && microsecond % 2)) microsecond++;
    if (microsecond == MICROSECONDS) microsecond = 0, whole++;
    *moment = (struct moment){.microsecond = microsecond};
    return set_from_seconds(moment, whole);
}

static bool take_word(struct scan *scan, const char *words, int32_t n_words, int32_t *place) {
    if (scan->end - scan->at < 3) return false;
    for (*place = 0; *place < n_words; ++*place) {
        if (memcmp(scan->at, words + 3 * *place, 3) != 0) continue;
        scan->at += 3;
        return true;
    }
    return false;
}

/* As e-mail has them, behind a space. */
static bool take_zone(struct scan *scan, int32_t *offset) {
    static const char ZONES[] = "GMTUTCESTEDTCSTCDTMSTMDTPSTPDT";
    static const int32_t HOURS[] = {0, 0, -5, -4, -6, -5, -7, -6, -8, -7};
    int32_t place;
    if (!take_one(scan, ' ')) return false;
    if (!take_word(scan, ZONES, sizeof HOURS / sizeof *HOURS, &place))
        return scan->end - scan->at == 5 && take_offset(scan, offset);
    *offset = HOURS[place] * 3600;
    return true;
}

/* "Sat, 31 Jan 2026 08:00:00 GMT": RFC 5322, as feeds and the headers of HTTP write it. */
static bool take_mail_date(struct scan *scan, struct moment *moment) {
    static const char DAYS[] = "MonTueWedThuFriSatSun";
    static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int32_t place;
    if (take_word(scan, DAYS, 7, &place) && !(take_one(scan, ',') && take_one(scan, ' ')))
        return false;
    const bool has_two = scan->end - scan->at > 1 && is_digit(scan->at[1]);
    if (!take_digits(scan, has_two ? 2 : 1, &moment->day) || !take_one(scan, ' ')) return false;
    if (!take_word(scan, MONTHS, 12, &place) || !take_one(scan, ' ')) return false;
    moment->month = place + 1;
    return take_digits(scan, 4, &moment->year) && take_one(scan, ' ') && moment->year >= 1000 &&
           moment->day >= 1 && moment->day <= days_in(moment->year, moment->month);
}

static bool read_mail_date(struct scan scan, struct moment *moment) {
    int32_t offset;
    if (!take_mail_date(&scan, moment) || memchr(scan.at, '.', (size_t)(scan.end - scan.at)))
        return false;
    if (scan.end - scan.at < 3 || scan.at[2] != ':') return false;
    return take_time(&scan, moment) && take_zone(&scan, &offset) && scan.at == scan.end && to_utc(moment, offset);
}

bool read_moment(const char *at, int64_t size, struct moment *moment) {
    int64_t n_digits = 0;
    *moment = (struct moment){0};
    while (n_digits < size && is_digit(at[n_digits])) n_digits++;
    if (n_digits == size && size != 8)
        return (size == 10 || size == 13) && read_digits(at, size, moment);
    struct scan scan = {at, at + size};
    int32_t offset;
    if (n_digits < 4) return read_mail_date(scan, moment);
    if (!take_date(&scan, moment)) return false;
    if (scan.at == scan.end) return true;
    if (!take_one(&scan, 'T') && !take_one(&scan, ' ')) return false;
    return take_time(&scan, moment) && take_offset(&scan, &offset) && scan.at == scan.end &&
           to_utc(moment, offset);
}

static char *write_two(char *to, int32_t number) {
    *to++ = (char)('0' + number / 10);
    *to++ = (char)('0' + number % 10);
    return to;
}

static char *write_parts(const struct moment *moment, char between, char *to) {
    to = write_two(write_two(to, moment->year / 100), moment->year % 100);
    *to++ = '-';
    to = write_two(to, moment->month);
    *to++ = '-';
    to = write_two(to, moment->day);
    *to++ = between;
    to = write_two(to, moment->hour);
    *to++ = ':';
    to = write_two(to, moment->minute);
    *to++ = ':';
    return write_two(to, moment->second);
}

static char *write_fraction(int32_t microsecond, char *to) {
    *to++ = '.';
    to = write_two(to, microsecond / 10000);
    to = write_two(to, microsecond / 100 % 100);
    return write_two(to, microsecond % 100);
}

char *write_moment(const struct moment *moment, char *to) {
    to = write_parts(moment, 'T', to);
    if (moment->microsecond) to = write_fraction(moment->microsecond, to);
    *to++ = 'Z';
    return to;
}

char *write_stored_moment(const struct moment *moment, char *to) {
    return write_fraction(moment->microsecond, write_parts(moment, ' ', to));
}
