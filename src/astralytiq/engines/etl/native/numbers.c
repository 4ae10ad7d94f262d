/* Numbers in the one spelling that msgspec's encoder has for each: the fewest digits that come back
   to the same float64, and of these the nearest. */

#include "numbers.h"

#include <math.h>
#include <stdio.h>

enum {
    SURE_DIGITS = 15,   /* decimals of so many digits come back unchanged from a float64 */
    MOST_DIGITS = 17,   /* no float64 needs more */
    PRINTED_DIGITS = 40 /* enough to see that a number stands in the middle of two others */
};

/* What is longer is no number that anybody wrote by hand or by program. */
enum { LONGEST_WRITTEN = 1000 };

/* For counting with parts of a decimal: 5^27 has 63 bits. */
enum { FLOAT_BITS = 53, MOST_FIVES = 27 };
typedef unsigned __int128 wide;

/* Within these powers of ten float64 has all its bits. */
enum { LEAST_POINT = -290, MOST_POINT = 290 };

/* As it is written: 0.DIGITS * 10^point, without zeros at either end. */
struct decimal {
    bool negative, is_whole; /* whole: with neither point nor power */
    int n_digits;            /* more than MOST_DIGITS where they are not all kept */
    int point;
    int power_digits;
    char digits[MOST_DIGITS + 1];
};

static void add_digit(struct decimal *decimal, char digit, int *n_zeros) {
    if (digit == '0') {
        ++*n_zeros;
        return;
    }
    /* Zeros count as soon as another digit comes behind them. */
    for (; decimal->n_digits && *n_zeros; --*n_zeros, decimal->n_digits++)
        if (decimal->n_digits < MOST_DIGITS) decimal->digits[decimal->n_digits] = '0';
    *n_zeros = 0;
    if (decimal->n_digits < MOST_DIGITS) decimal->digits[decimal->n_digits] = digit;
    decimal->n_digits++;
}

static bool scan_power(const char **at, const char *end, struct decimal *decimal) {
    const bool is_below = *at < end && **at == '-';
    if (*at < end && (**at == '-' || **at == '+')) ++*at;
    int power = 0;
    for (; *at < end && is_digit(**at); ++*at, decimal->power_digits++)
        if (power < 10000) power = 10 * power + (**at - '0');
    decimal->point += is_below ? -power : power;
    return decimal->power_digits > 0;
}

/* -?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)? and nothing else. */
static bool scan(const char *at, int64_t size, struct decimal *decimal) {
    const char *const end = at + size;
    int n_zeros = 0;
    *decimal = (struct decimal){.is_whole = true};
    if (at < end && *at == '-') decimal->negative = true, at++;
    if (at == end || !is_digit(*at)) return false;
    if (*at == '0' && end - at > 1 && is_digit(at[1])) return false;
    for (; at < end && is_digit(*at); at++) {
        add_digit(decimal, *at, &n_zeros);
        if (decimal->n_digits) decimal->point++;
    }
    if (at < end && *at == '.') {
        decimal->is_whole = false;
        if (++at == end || !is_digit(*at)) return false;
        for (; at < end && is_digit(*at); at++) {
            add_digit(decimal, *at, &n_zeros);
            if (!decimal->n_digits) decimal->point--;
        }
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        decimal->is_whole = false;
        at++;
        if (!scan_power(&at, end, decimal)) return false;
    }
    return at == end;
}

static char *write_power(int power, char *to) {
    *to++ = 'e';
    if (power < 0) *to++ = '-', power = -power;
    if (power >= 100) *to++ = (char)('0' + power / 100);
    if (power >= 10) *to++ = (char)('0' + power / 10 % 10);
    *to++ = (char)('0' + power % 10);
    return to;
}

static double float_of(const struct decimal *decimal) {
    char text[MOST_DIGITS + 16];
    /* Without a point, which is a comma in some countries. */
    memcpy(text, decimal->digits, (size_t)decimal->n_digits);
    *write_power(decimal->point - decimal->n_digits, text + decimal->n_digits) = '\0';
    return strtod(text, NULL);
}

/* The nearest of `n_digits` to a positive number, without zeros at its end. */
static struct decimal nearest(double number, int n_digits) {
    char text[PRINTED_DIGITS + 16];
    snprintf(text, sizeof text, "%.*e", n_digits - 1, number);
    struct decimal decimal = {.n_digits = 0};
    int n_zeros = 0;
    const char *at = text;
    for (; *at && *at != 'e'; at++)
        if (is_digit(*at)) add_digit(&decimal, *at, &n_zeros);
    decimal.point = (*at ? atoi(at + 1) : 0) + 1;
    return decimal;
}

/* Whether two decimals of `n_digits` are equally near, so that a rule would have to choose. */
static bool is_between(double number, int n_digits) {
    char text[PRINTED_DIGITS + 16];
    snprintf(text, sizeof text, "%.*e", PRINTED_DIGITS - 1, number);
    int place = 0;
    for (const char *at = text; *at && *at != 'e'; at++) {
        if (!is_digit(*at)) continue;
        if (place == n_digits && *at != '5') return false;
        if (place > n_digits && *at != '0') return false;
        place++;
    }
    return true;
}

static wide distance(wide one, wide other) { return one > other ? one - other : other - one; }

/* Whether a decimal of 16 or 17 digits is sure to be the shortest that comes back to its float64,
   and the nearest of those. All is counted in halves of its last digit, exactly: the float is
   `scaled` * 2^power. */
static bool is_shortest(const struct decimal *decimal, double number) {
    const int n_below = decimal->n_digits - decimal->point;
    if (n_below < 1 || n_below > MOST_FIVES) return false;
    int power;
    const uint64_t bits = (uint64_t)ldexp(frexp(number, &power), FLOAT_BITS);
    power += n_below + 1 - FLOAT_BITS;
    if (power > 0) return false;
    uint64_t fives = 1, digits = 0;
    for (int i = 0; i < n_below; i++) fives *= 5;
    for (int i = 0; i < decimal->n_digits; i++)
        digits = 10 * digits + (uint64_t)(decimal->digits[i] - '0');
    const wide scaled = (wide)bits * fives;
    if (distance((wide)(2 * digits) << -power, scaled) >= (wide)1 << -power) return false;
    /* Those with a digit less, below and above it, must come back to another float. */
    const uint64_t below = 20 * (digits / 10);
    return distance((wide)below << (1 - power), 2 * scaled) > fives &&
           distance((wide)(below + 20) << (1 - power), 2 * scaled) > fives;
}

/* The shortest that comes back to the float64 of `decimal`; false where that is not sure. */
static bool shorten(struct decimal *decimal) {
    const double number = float_of(decimal);
    int exponent;
    /* Below a power of two floats are closer than above it: the nearest may not be the one. */
    if (frexp(number, &exponent) == 0.5) return false;
    if (is_shortest(decimal, number)) return true;
    for (int n_digits = SURE_DIGITS; n_digits <= MOST_DIGITS; n_digits++) {
        const struct decimal found = nearest(number, n_digits);
        if (float_of(&found) != number) continue;
        if (n_digits > SURE_DIGITS && is_between(number, n_digits)) return false;
        decimal->n_digits = found.n_digits;
        decimal->point = found.point;
        memcpy(decimal->digits, found.digits, sizeof found.digits);
        return true;
    }
    return false;
}

static char *copied(char *to, const char *at, int size) {
    memcpy(to, at, (size_t)size);
    return to + size;
}

static char *zeros(char *to, int size) {
    memset(to, '0', (size_t)size);
    return to + size;
}

/* A float64: written out from 0.00001 to 1e16, else with a power. */
static char *write_float(const struct decimal *decimal, char *to) {
    const int n_digits = decimal->n_digits, point = decimal->point;
    const char *digits = decimal->digits;
    if (decimal->negative) *to++ = '-';
    if (!n_digits) return copied(to, "0.0", 3);
    if (point > 16 || point <= -5) {
        *to++ = digits[0];
        if (n_digits > 1) {
            *to++ = '.';
            to = copied(to, digits + 1, n_digits - 1);
        }
        return write_power(point - 1, to);
    }
    if (point <= 0) {
        to = zeros(copied(to, "0.", 2), -point);
        return copied(to, digits, n_digits);
    }
    if (n_digits <= point) {
        to = zeros(copied(to, digits, n_digits), point - n_digits);
        return copied(to, ".0", 2);
    }
    to = copied(to, digits, point);
    *to++ = '.';
    return copied(to, digits + point, n_digits - point);
}

static bool is_in_range(const struct decimal *decimal) {
    return !decimal->n_digits || (decimal->point > LEAST_POINT && decimal->point < MOST_POINT);
}

char *write_number(const char *at, int64_t size, char *to) {
    struct decimal decimal;
    if (size > LONGEST_WRITTEN || !scan(at, size, &decimal)) return NULL;
    if (decimal.is_whole) {
        if (size > 19) return NULL;
        return decimal.n_digits ? copied(to, at, (int)size) : copied(to, "0", 1);
    }
    if (!is_in_range(&decimal) || decimal.n_digits > MOST_DIGITS) return NULL;
    if (decimal.n_digits > SURE_DIGITS && !shorten(&decimal)) return NULL;
    return write_float(&decimal, to);
}

bool read_float(const char *at, int64_t size, double *number) {
    struct decimal decimal;
    if (size > LONGEST_WRITTEN || !scan(at, size, &decimal) || !is_in_range(&decimal)) return false;
    if (decimal.n_digits > (decimal.is_whole ? SURE_DIGITS : MOST_DIGITS)) return false;
    *number = decimal.n_digits ? float_of(&decimal) : 0;
    if (decimal.negative) *number = -*number;
    return true;
}

/* Whether a whole number, which begins with no zero, has 64 bits. */
static bool is_in_64_bits(const char *at, int64_t size) {
    const bool is_below = *at == '-';
    const char *most = is_below ? "9223372036854775808" : "9223372036854775807";
    const int64_t n_digits = size - is_below;
    return n_digits < 19 || (n_digits == 19 && memcmp(at + is_below, most, 19) <= 0);
}

enum cell write_cell_number(const char *at, int64_t size, char **to) {
    struct decimal decimal;
    if (size > LONGEST_WRITTEN) return CELL_UNSURE;
    if (!scan(at, size, &decimal) || decimal.power_digits > 3) return CELL_TEXT;
    if (decimal.is_whole) {
        if (!decimal.n_digits && decimal.negative) return CELL_TEXT;
        if (!is_in_64_bits(at, size)) return CELL_TEXT;
        *to = copied(*to, at, (int)size);
        return CELL_NUMBER;
    }
    /* No float64 is written with so many. */
    if (decimal.n_digits > MOST_DIGITS) return CELL_TEXT;
    if (!is_in_range(&decimal)) return CELL_UNSURE;
    if (decimal.n_digits > SURE_DIGITS) {
        const struct decimal written = decimal;
        if (!shorten(&decimal)) return CELL_UNSURE;
        if (decimal.n_digits != written.n_digits || decimal.point != written.point ||
            memcmp(decimal.digits, written.digits, (size_t)decimal.n_digits) != 0)
            return CELL_TEXT;
    }
    *to = write_float(&decimal, *to);
    return CELL_NUMBER;
}
