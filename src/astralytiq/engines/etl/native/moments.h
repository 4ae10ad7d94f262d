/* Times, in UTC, as `as_moment` of values.py reads them. */

#ifndef MOMENTS_H
#define MOMENTS_H

#include "bytes.h"

struct moment {
    int32_t year, month, day, hour, minute, second, microsecond;
};

/* Room that a moment takes in either of its forms. */
enum { LONGEST_MOMENT = 32 };

/* The commonest spellings of ISO 8601 and of e-mail's dates, and seconds or milliseconds since 1970;
   false for all that Python has to look at. */
bool read_moment(const char *at, int64_t size, struct moment *moment);

/* Seconds or milliseconds since 1970 as a number of JSON; the same. */
bool read_epoch(const char *at, int64_t size, struct moment *moment);

/* As msgspec writes it in JSON, and as it is stored. */
char *write_moment(const struct moment *moment, char *to);
char *write_stored_moment(const struct moment *moment, char *to);

#endif
