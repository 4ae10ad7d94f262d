/* The primary key of a record, and what names the same thing across sources. */

#include "rows.h"

/* How many characters a text has. */
static int64_t length_of(const struct value *value) {
    int64_t length = 0;
    for (int64_t i = 0; i < value->size; i++) {
        length += ((unsigned char)value->at[i] & 0xC0) != 0x80;
        if (value->at[i] == '\\') i += value->at[i + 1] == 'u' ? 5 : 1;
    }
    return length;
}

static bool is_short(const struct value *key) {
    return key->size && (key->size <= LONGEST_KEY || length_of(key) <= LONGEST_KEY);
}

/* A text as it stands within the quotes of a text: what has escapes is escaped once more. */
static char *write_escaped(const char *at, int64_t size, char *to) {
    for (int64_t i = 0; i < size; i++) {
        *to = '\\';
        to += at[i] == '"' || at[i] == '\\';
        *to++ = at[i];
    }
    return to;
}

/* One part of the key as a text; a number's goes to `to`. */
static bool part_of_key(const struct value *value, char to[LONGEST_NUMBER], struct value *part) {
    if (!value || value->kind == NOTHING || value->kind == NESTED) return false;
    *part = *value;
    if (value->kind == TEXT) return value->size > 0;
    part->kind = TEXT;
    if (value->kind != NUMBER) return true;
    const char *end = write_number(value->at, value->size, to);
    part->at = to;
    part->size = end ? end - to : 0;
    return end != NULL;
}

/* Of several fields a list of their texts, which is a text itself. */
static bool put_keys(struct rows_work *work) {
    struct buffer *made = &work->made_key;
    made->size = 0;
    for (int64_t i = 0; i < work->way->n_keys; i++) {
        char number[LONGEST_NUMBER];
        struct value part;
        if (!part_of_key(work->keys[i], number, &part)) return false;
        if (!put(made, i ? ",\\\"" : "[\\\"", 3)) return false;
        char *to = room_for(made, 2 * part.size);
        if (!to) return false;
        wrote(made, write_escaped(part.at, part.size, to));
        if (!PUT(made, "\\\"")) return false;
    }
    if (!PUT(made, "]")) return false;
    work->key = (struct value){.at = made->bytes, .size = made->size, .kind = TEXT, .escaped = true};
    return true;
}

bool make_key(struct rows_work *work) {
    const int64_t n_keys = work->way->n_keys;
    if (n_keys == 0) {
        work->key = (struct value){.at = work->hash, .size = HEX_DIGITS, .kind = TEXT};
        return true;
    }
    if (n_keys == 1) {
        work->made_key.size = 0;
        char *to = room_for(&work->made_key, LONGEST_NUMBER);
        if (!to || !part_of_key(work->keys[0], to, &work->key)) return false;
    } else if (!put_keys(work)) {
        return false;
    }
    return is_short(&work->key);
}

/* A text without its escapes. */
static char *write_plain(const struct value *value, char *to) {
    if (!value->escaped) {
        memcpy(to, value->at, (size_t)value->size);
        return to + value->size;
    }
    const char *at = value->at, *const end = at + value->size;
    while (at < end) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        *to++ = meant_by(at);
        at += at[1] == 'u' ? 6 : 2;
    }
    return to;
}

static bool name_by_key(struct rows_work *work) {
    struct buffer *made = &work->made_entity;
    if (!put(made, work->way->named_by_key.at, work->way->named_by_key.size)) return false;
    char *to = room_for(made, work->key.size);
    if (!to) return false;
    wrote(made, write_plain(&work->key, to));
    return true;
}

bool make_entity(struct rows_work *work) {
    const struct value *url = work->fields[URL];
    work->made_entity.size = 0;
    if (!url) return name_by_key(work);
    if (url->escaped) return false;
    const struct text text = {url->at, url->size};
    switch (put_address(&work->made_entity, text, &work->query)) {
    case ADDRESS: return true;
    case NO_ADDRESS: return name_by_key(work);
    default: return false;
    }
}
