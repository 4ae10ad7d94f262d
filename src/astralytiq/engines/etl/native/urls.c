/* The one spelling of a web address, as `normal_url` of normalise.py has it. */

#include "urls.h"

enum { MOST_PAIRS = 64, LONGEST_PORT = 5, LARGEST_PORT = 65535 };

/* Of a query: a name and its value, decoded. */
struct pair {
    struct text name, value;
};

struct query {
    struct pair pairs[MOST_PAIRS];
    int64_t n_pairs;
};

static const char *found(struct text text, char c) {
    const char *at = memchr(text.at, c, (size_t)text.size);
    return at ? at : text.at + text.size;
}

/* What stands before `at`; the text keeps what is behind the character there, if any. */
static struct text cut(struct text *text, const char *at) {
    const struct text before = {text->at, at - text->at};
    const int64_t taken = before.size + (before.size < text->size);
    *text = (struct text){text->at + taken, text->size - taken};
    return before;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static bool begins(struct text text, const char *lower_case, int64_t size) {
    if (text.size < size) return false;
    for (int64_t i = 0; i < size; i++)
        if (lower(text.at[i]) != lower_case[i]) return false;
    return true;
}

#define BEGINS(text, literal) begins(text, literal, sizeof literal - 1)

/* Without the spaces around it; false where there may be some beyond ASCII. */
static bool strip(struct text *text) {
    for (; text->size && *text->at == ' '; text->size--) text->at++;
    while (text->size && text->at[text->size - 1] == ' ') text->size--;
    if (!text->size) return true;
    const unsigned char *at = (const unsigned char *)text->at, *last = at + text->size - 1;
    if (*at >= 0x80) return false;
    for (int i = 0; i < 3 && (*last & 0xC0) == 0x80; i++) last--;
    return *last != 0xC2 && *last != 0xE1 && *last != 0xE2 && !(*last == 0xE3 && last[1] == 0x80);
}

static bool is_ascii(struct text text) {
    unsigned char seen = 0;
    for (int64_t i = 0; i < text.size; i++) seen |= (unsigned char)text.at[i];
    return seen < 0x80;
}

static bool put_lower(struct buffer *to, struct text text) {
    char *at = room_for(to, text.size);
    if (!at) return false;
    for (int64_t i = 0; i < text.size; i++) *at++ = lower(text.at[i]);
    wrote(to, at);
    return true;
}

/* Where it is not the scheme's own. */
static bool put_port(struct buffer *to, struct text text, int32_t usual) {
    int32_t port = 0;
    if (text.size > LONGEST_PORT) return false;
    for (int64_t i = 0; i < text.size; i++) {
        if (!is_digit(text.at[i])) return false;
        port = 10 * port + (text.at[i] - '0');
    }
    if (port > LARGEST_PORT) return false;
    if (!text.size || port == usual) return true;
    char digits[LONGEST_PORT + 1], *at = digits + sizeof digits;
    do *--at = (char)('0' + port % 10);
    while (port /= 10);
    *--at = ':';
    return put(to, at, digits + sizeof digits - at);
}

/* Host and port, without a sign-in. */
static enum address put_host(struct buffer *to, struct text place, int32_t usual_port) {
    if (!is_ascii(place)) return UNSURE;
    if (memchr(place.at, '[', (size_t)place.size) || memchr(place.at, ']', (size_t)place.size) ||
        memchr(place.at, '%', (size_t)place.size))
        return UNSURE;
    while (memchr(place.at, '@', (size_t)place.size)) cut(&place, found(place, '@'));
    const struct text host = cut(&place, found(place, ':'));
    if (!host.size) return NO_ADDRESS; /* with any port, or what is none */
    return put_lower(to, host) && put_port(to, place, usual_port) ? ADDRESS : UNSURE;
}

static int hex_of(char c) {
    if (is_digit(c)) return c - '0';
    return lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
}

/* How long the character at `at` is in UTF-8; 0 where it is none. */
static int64_t width_of(const unsigned char *at, int64_t size) {
    if (*at < 0x80) return 1;
    if (*at < 0xC2 || *at > 0xF4) return 0;
    const int64_t width = *at < 0xE0 ? 2 : *at < 0xF0 ? 3 : 4;
    if (size < width) return 0;
    for (int64_t i = 1; i < width; i++)
        if ((at[i] & 0xC0) != 0x80) return 0;
    /* Neither longer than need be, nor half a letter of UTF-16, nor beyond Unicode. */
    if ((*at == 0xE0 && at[1] < 0xA0) || (*at == 0xED && at[1] > 0x9F)) return 0;
    return (*at == 0xF0 && at[1] < 0x90) || (*at == 0xF4 && at[1] > 0x8F) ? 0 : width;
}

static bool is_utf8(struct text text) {
    for (int64_t i = 0; i < text.size;) {
        const int64_t width = width_of((const unsigned char *)text.at + i, text.size - i);
        if (!width) return false;
        i += width;
    }
    return true;
}

/* A name or a value to `*to`, where there is room. */
static struct text decoded(struct text text, char **to) {
    const char *at = text.at, *const end = at + text.size;
    char *const start = *to;
    while (at < end) {
        const bool is_code = *at == '%' && end - at > 2 && hex_of(at[1]) >= 0 && hex_of(at[2]) >= 0;
        if (is_code) {
            *(*to)++ = (char)(hex_of(at[1]) * 16 + hex_of(at[2]));
            at += 3;
        } else {
            *(*to)++ = *at == '+' ? ' ' : *at;
            at++;
        }
    }
    return (struct text){start, *to - start};
}

static int order_of(struct pair one, struct pair other) {
    const int order = compared(one.name, other.name);
    return order ? order : compared(one.value, other.value);
}

/* In its place among the others. */
static void insert_pair(struct query *query, struct pair pair) {
    int64_t place = query->n_pairs++;
    for (; place && order_of(query->pairs[place - 1], pair) > 0; place--)
        query->pairs[place] = query->pairs[place - 1];
    query->pairs[place] = pair;
}

/* All but those that only say where a reader came from. */
static bool read_query(struct text text, struct query *query, struct buffer *scratch) {
    scratch->size = query->n_pairs = 0;
    char *room = room_for(scratch, text.size);
    if (!room) return false;
    while (text.size) {
        struct text value = cut(&text, found(text, '&'));
        if (!value.size) continue;
        const struct text name = cut(&value, found(value, '='));
        struct pair pair;
        pair.name = decoded(name, &room);
        pair.value = decoded(value, &room);
        if (!is_utf8(pair.name) || !is_utf8(pair.value)) return false;
        if (BEGINS(pair.name, "utm_")) continue;
        if (query->n_pairs == MOST_PAIRS) return false;
        insert_pair(query, pair);
    }
    return true;
}

static bool is_plain(char c) {
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '_' || c == '.' ||
           c == '-' || c == '~';
}

static bool put_encoded(struct buffer *to, struct text text) {
    static const char DIGITS[] = "0123456789ABCDEF";
    char *at = room_for(to, 3 * text.size);
    if (!at) return false;
    for (int64_t i = 0; i < text.size; i++) {
        const unsigned char c = (unsigned char)text.at[i];
        if (is_plain((char)c) || c == ' ') {
            *at++ = c == ' ' ? '+' : (char)c;
        } else {
            *at++ = '%';
            *at++ = DIGITS[c / 16];
            *at++ = DIGITS[c % 16];
        }
    }
    wrote(to, at);
    return true;
}

static bool put_query(struct buffer *to, struct text text, struct buffer *scratch) {
    struct query query;
    if (!read_query(text, &query, scratch)) return false;
    for (int64_t i = 0; i < query.n_pairs; i++) {
        const struct pair pair = query.pairs[i];
        if (!put(to, i ? "&" : "?", 1) || !put_encoded(to, pair.name) || !PUT(to, "=") ||
            !put_encoded(to, pair.value))
            return false;
    }
    return true;
}

/* Where the host ends. */
static const char *end_of_host(struct text text) {
    const char *at = text.at, *const end = at + text.size;
    while (at < end && *at != '/' && *at != '?' && *at != '#') at++;
    return at;
}

enum address put_address(struct buffer *to, struct text text, struct buffer *scratch) {
    if (!strip(&text)) return UNSURE;
    const bool is_secure = BEGINS(text, "https:");
    if (!is_secure && !BEGINS(text, "http:")) return NO_ADDRESS;
    cut(&text, found(text, ':'));
    if (!BEGINS(text, "//")) return NO_ADDRESS;
    text = (struct text){text.at + 2, text.size - 2};
    const char *const end = end_of_host(text);
    const struct text place = {text.at, end - text.at};
    text = (struct text){end, text.size - place.size};
    if (!PUT(to, "https://")) return UNSURE;
    const int64_t start = to->size;
    const enum address answer = put_host(to, place, is_secure ? 443 : 80);
    if (answer != ADDRESS) {
        to->size = start - (int64_t)(sizeof "https://" - 1);
        return answer;
    }
    struct text query = cut(&text, found(text, '#'));
    struct text path = cut(&query, found(query, '?'));
    while (path.size && path.at[path.size - 1] == '/') path.size--;
    if (!put(to, path.at, path.size)) return UNSURE;
    return !query.size || put_query(to, query, scratch) ? ADDRESS : UNSURE;
}
