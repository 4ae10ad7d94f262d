/* Reads JSON as msgspec's encoder writes it; what it would write otherwise is not taken.

   So a text can be copied as it stands wherever JSON is written, and nothing has to be decoded. */

#ifndef JSON_H
#define JSON_H

#include "bytes.h"

enum kind { TEXT, NUMBER, TRUE, FALSE, NOTHING, NESTED };

/* A text stands without its quotes. */
struct value {
    const char *at;
    int64_t size;
    enum kind kind;
    bool escaped; /* it has a backslash */
    bool wide;    /* it has more than ASCII */
};

struct reader {
    const char *at, *end;
};

/* Deeper than this, payloads are for Python, which refuses those that nobody could read back. */
enum { DEEPEST = 32 };

#define EACH_BYTE 0x0101010101010101u
#define HIGH_BITS 0x8080808080808080u

/* Of eight bytes, the high bits of those that end a run of plain text: quotes, backslashes, control
   characters. Only the lowest mark is sure, as a borrow may mark bytes above it. */
static inline uint64_t marks_in(uint64_t word) {
    const uint64_t quotes = word ^ EACH_BYTE * '"', slashes = word ^ EACH_BYTE * '\\';
    return (((quotes - EACH_BYTE) & ~quotes) | ((slashes - EACH_BYTE) & ~slashes) |
            ((word - EACH_BYTE * ' ') & ~word)) &
           HIGH_BITS;
}

/* To the first byte from `at` on that is no plain text, or to `end`; notes what is not ASCII. */
static inline const char *after_plain(const char *at, const char *end, bool *wide) {
    uint64_t seen = 0;
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        const uint64_t marks = marks_in(word);
        if (marks) {
            const int plain = __builtin_ctzll(marks) / 8;
            if (plain) seen |= word << (64 - 8 * plain);
            *wide |= (seen & HIGH_BITS) != 0;
            return at + plain;
        }
        seen |= word;
        at += 8;
    }
    for (; at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= ' '; at++)
        seen |= (unsigned char)*at;
    *wide |= (seen & HIGH_BITS) != 0;
    return at;
}

/* How long the escape at `at` is; 0 where the encoder would write another, and for NUL. */
static inline int escape_at(const char *at, const char *end) {
    if (end - at < 2) return 0;
    if (memchr("\"\\bfnrt", at[1], 7)) return 2;
    if (end - at < 6 || memcmp(at, "\\u00", 4) != 0 || (at[4] != '0' && at[4] != '1')) return 0;
    if (!is_digit(at[5]) && !(at[5] >= 'a' && at[5] <= 'f')) return 0;
    return at[4] == '0' && memchr("089acd", at[5], 6) ? 0 : 6;
}

/* The character, below 128, that an escape stands for. */
static inline char meant_by(const char *escape) {
    switch (escape[1]) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'u':
        return (char)((escape[4] - '0') * 16 + (is_digit(escape[5]) ? escape[5] - '0' : escape[5] - 'a' + 10));
    default: return escape[1];
    }
}

/* A text whose opening quote is at hand. */
static inline bool read_text(struct reader *reader, struct value *value) {
    const char *at = ++reader->at;
    *value = (struct value){.at = at, .kind = TEXT};
    for (;;) {
        at = after_plain(at, reader->end, &value->wide);
        if (at == reader->end) return false;
        if (*at == '"') break;
        const int size = escape_at(at, reader->end);
        if (!size) return false;
        value->escaped = true;
        at += size;
    }
    value->size = at - value->at;
    reader->at = at + 1;
    return true;
}

/* Past a text of any form. */
static inline bool pass_text(struct reader *reader) {
    bool wide = false;
    const char *at = reader->at + 1;
    for (;;) {
        at = after_plain(at, reader->end, &wide);
        if (at == reader->end) return false;
        if (*at == '"') break;
        at += *at == '\\' ? 2 : 1;
        if (at > reader->end) return false;
    }
    reader->at = at + 1;
    return true;
}

/* Past a value of any form, whose depth is told. */
static inline bool pass_value(struct reader *reader, int64_t *deepest) {
    int64_t depth = 0;
    for (*deepest = 0; reader->at < reader->end;) {
        const char c = *reader->at;
        if (c == '"') {
            if (!pass_text(reader)) return false;
        } else if (c == '{' || c == '[') {
            if (++depth > *deepest) *deepest = depth;
            reader->at++;
        } else if (c == '}' || c == ']') {
            if (!depth) return true; /* of what is around it */
            depth--;
            reader->at++;
        } else if (c == ',' && !depth) {
            return true;
        } else {
            reader->at++;
            continue;
        }
        if (!depth) return true;
    }
    return false;
}

static inline bool read_word(struct reader *reader, const char *word, int64_t size) {
    if (reader->end - reader->at < size || memcmp(reader->at, word, (size_t)size) != 0) return false;
    reader->at += size;
    return true;
}

static inline bool read_number(struct reader *reader) {
    const char *start = reader->at;
    while (reader->at < reader->end &&
           (is_digit(*reader->at) || *reader->at == '.' || *reader->at == '-' ||
            *reader->at == '+' || *reader->at == 'e' || *reader->at == 'E'))
        reader->at++;
    return reader->at > start;
}

static inline bool read_nested(struct reader *reader) {
    int64_t deepest;
    return pass_value(reader, &deepest) && deepest < DEEPEST;
}

/* The value at hand; what is nested in it is not looked at yet. */
static inline bool read_value(struct reader *reader, struct value *value) {
    if (reader->at == reader->end) return false;
    if (*reader->at == '"') return read_text(reader, value);
    *value = (struct value){.at = reader->at};
    bool is_read;
    switch (*reader->at) {
    case 't': value->kind = TRUE, is_read = read_word(reader, "true", 4); break;
    case 'f': value->kind = FALSE, is_read = read_word(reader, "false", 5); break;
    case 'n': value->kind = NOTHING, is_read = read_word(reader, "null", 4); break;
    case '{':
    case '[': value->kind = NESTED, is_read = read_nested(reader); break;
    default: value->kind = NUMBER, is_read = read_number(reader);
    }
    value->size = reader->at - value->at;
    return is_read;
}

/* Takes the character at hand if it is this one. */
static inline bool take(struct reader *reader, char c) {
    if (reader->at == reader->end || *reader->at != c) return false;
    reader->at++;
    return true;
}

/* The next name of an object and the colon behind it; names with escapes are for Python, as their
   order is not that of their bytes here. */
static inline bool read_name(struct reader *reader, struct text *name) {
    struct value value;
    if (reader->at == reader->end || *reader->at != '"') return false;
    if (!read_text(reader, &value) || value.escaped) return false;
    *name = (struct text){value.at, value.size};
    return take(reader, ':');
}

#endif
