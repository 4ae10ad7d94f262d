/* Rows of records as the drivers take them: SQLite's as JSON, PostgreSQL's as lines of COPY. */

#include "rows.h"

/* In the order of NAMES in batch.py. */
static const enum field FIRST[] = {TITLE, DESCRIPTION, CONTENT, AUTHOR};

enum { N_FIRST = 4, LONGEST_POSITION = 20, BETWEEN = 16 };

static char *copied(char *to, const char *at, int64_t size) {
    memcpy(to, at, (size_t)size);
    return to + size;
}

static char *write_position(int64_t position, char *to) {
    char digits[LONGEST_POSITION];
    int n_digits = 0;
    do digits[n_digits++] = (char)('0' + position % 10);
    while (position /= 10);
    while (n_digits) *to++ = digits[--n_digits];
    return to;
}

/* Room enough for the row: no byte of a text takes more than two. */
static int64_t room_of(const struct rows_work *work) {
    int64_t size = work->metadata.size + work->way->source.size + work->key.size;
    for (int i = 0; i < N_FIELDS; i++)
        if (work->fields[i]) size += work->fields[i]->size;
    return 2 * size + (N_FIELDS + 6) * BETWEEN + LONGEST_MOMENT + 2 * HEX_DIGITS + LONGEST_POSITION;
}

/* SQLite ------------------------------------------------------------------------------------- */

static char *json_text(const struct value *value, char *to) {
    if (!value) return copied(to, "null,", 5);
    *to++ = '"';
    to = copied(to, value->at, value->size);
    return copied(to, "\",", 2);
}

static char *json_moment(const struct rows_work *work, char *to) {
    if (!work->fields[PUBLISHED_AT]) return copied(to, "null,", 5);
    *to++ = '"';
    return copied(write_stored_moment(&work->moment, to), "\",", 2);
}

static char *json_within_json(struct text json, char *to) {
    *to++ = '"';
    for (int64_t i = 0; i < json.size; i++) {
        const char c = json.at[i];
        *to = '\\';
        to += (c == '"') | (c == '\\');
        *to++ = c;
    }
    return copied(to, "\",", 2);
}

static char *json_hash(const char hash[HEX_DIGITS], char *to) {
    *to++ = '"';
    return copied(copied(to, hash, HEX_DIGITS), "\",", 2);
}

static char *json_row(const struct rows_work *work, int64_t position, char *to) {
    *to++ = '[';
    for (int i = 0; i < N_FIRST; i++) to = json_text(work->fields[FIRST[i]], to);
    to = json_moment(work, to);
    to = json_text(work->fields[URL], to);
    to = json_text(work->fields[CATEGORY], to);
    to = json_within_json(work->metadata, to);
    to = json_hash(work->hash, to);
    const struct value source = {work->way->source.at, work->way->source.size, TEXT, false, false};
    to = json_text(&source, to);
    to = json_text(&work->key, to);
    to = json_hash(work->entity_hash, to);
    return copied(write_position(position, to), "],", 2);
}

/* PostgreSQL --------------------------------------------------------------------------------- */

/* A text with COPY's escapes for backslash, tab and the ends of lines, which are those of JSON. */
static char *copy_text(const struct value *value, char *to) {
    if (!value) return copied(to, "\\N\t", 3);
    const char *at = value->at, *const end = at + value->size;
    if (!value->escaped) return copied(copied(to, at, value->size), "\t", 1);
    while (at < end) {
        if (*at != '\\') {
            *to++ = *at++;
        } else if (memchr("\\ntr", at[1], 4)) {
            to = copied(to, at, 2);
            at += 2;
        } else {
            *to++ = meant_by(at);
            at += at[1] == 'u' ? 6 : 2;
        }
    }
    *to++ = '\t';
    return to;
}

static char *copy_moment(const struct rows_work *work, char *to) {
    if (!work->fields[PUBLISHED_AT]) return copied(to, "\\N\t", 3);
    return copied(write_stored_moment(&work->moment, to), "+00\t", 4);
}

/* JSON has no tabs and ends of lines. */
static char *copy_json(struct text json, char *to) {
    if (!memchr(json.at, '\\', (size_t)json.size))
        return copied(copied(to, json.at, json.size), "\t", 1);
    for (int64_t i = 0; i < json.size; i++) {
        *to = '\\';
        to += json.at[i] == '\\';
        *to++ = json.at[i];
    }
    *to++ = '\t';
    return to;
}

static char *copy_hash(const char hash[HEX_DIGITS], char *to) {
    return copied(copied(to, hash, HEX_DIGITS), "\t", 1);
}

static char *copy_row(const struct rows_work *work, int64_t position, char *to) {
    for (int i = 0; i < N_FIRST; i++) to = copy_text(work->fields[FIRST[i]], to);
    to = copy_moment(work, to);
    to = copy_text(work->fields[URL], to);
    to = copy_text(work->fields[CATEGORY], to);
    to = copy_json(work->metadata, to);
    to = copy_hash(work->hash, to);
    const struct text name = work->way->source;
    const bool escaped = memchr(name.at, '\\', (size_t)name.size) != NULL;
    const struct value source = {name.at, name.size, TEXT, escaped, false};
    to = copy_text(&source, to);
    to = copy_text(&work->key, to);
    to = copy_hash(work->entity_hash, to);
    to = write_position(position, to);
    *to++ = '\n';
    return to;
}

bool write_row(struct rows_work *work, int64_t position) {
    char *to = room_for(&work->rows, room_of(work));
    if (!to) return false;
    wrote(&work->rows, work->way->for_sqlite ? json_row(work, position, to)
                                             : copy_row(work, position, to));
    return true;
}
