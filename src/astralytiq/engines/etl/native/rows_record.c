/* The record of a payload: canonical JSON, hashes and keys. */

#include "rows.h"

static bool put_text(struct buffer *to, const struct value *value) {
    char *at = room_for(to, value->size + 2);
    if (!at) return false;
    *at = '"';
    memcpy(at + 1, value->at, (size_t)value->size);
    at[value->size + 1] = '"';
    to->size += value->size + 2;
    return true;
}

static bool put_name(struct buffer *to, struct text name, bool is_first) {
    char *at = room_for(to, name.size + 4);
    if (!at) return false;
    if (!is_first) *at++ = ',';
    *at++ = '"';
    memcpy(at, name.at, (size_t)name.size);
    at += name.size;
    *at++ = '"';
    *at++ = ':';
    wrote(to, at);
    return true;
}

static bool put_number(struct buffer *to, const struct value *value) {
    char *at = room_for(to, LONGEST_NUMBER);
    if (at) at = write_number(value->at, value->size, at);
    if (at) wrote(to, at);
    return at != NULL;
}

/* What `from_csv` makes of a cell. */
static bool put_cell(struct buffer *to, const struct value *value) {
    if (!value->size) return PUT(to, "null");
    if (*value->at != '-' && !is_digit(*value->at)) return put_text(to, value);
    char *at = room_for(to, LONGEST_NUMBER);
    if (!at) return false;
    const enum cell made = write_cell_number(value->at, value->size, &at);
    if (made == CELL_TEXT) return put_text(to, value);
    if (made == CELL_NUMBER) wrote(to, at);
    return made == CELL_NUMBER;
}

static bool put_nested(struct rows_work *work, struct buffer *to, struct reader *reader,
                       bool is_sorted, int64_t first_free);

static bool put_value(struct rows_work *work, struct buffer *to, const struct value *value,
                      bool is_sorted, int64_t first_free) {
    if (work->way->cells) return put_cell(to, value);
    if (value->kind == TEXT) return put_text(to, value);
    if (value->kind == NUMBER) return put_number(to, value);
    if (value->kind != NESTED) return put(to, value->at, value->size);
    struct reader reader = {value->at, value->at + value->size};
    return put_nested(work, to, &reader, is_sorted, first_free) && reader.at == reader.end;
}

static bool put_list(struct rows_work *work, struct buffer *to, struct reader *reader,
                     bool is_sorted, int64_t first_free) {
    if (!PUT(to, "[")) return false;
    if (take(reader, ']')) return PUT(to, "]");
    for (bool is_first = true;; is_first = false) {
        struct value value;
        if (!is_first && !PUT(to, ",")) return false;
        if (!read_value(reader, &value)) return false;
        if (!put_value(work, to, &value, is_sorted, first_free)) return false;
        if (!take(reader, ',')) return take(reader, ']') && PUT(to, "]");
    }
}

/* Puts a member in its place among those from `first` on; false where its name is there. */
static bool insert_member(struct member *first, struct member *last, struct member member) {
    for (; last > first; last--) {
        const int order = compared(last[-1].name, member.name);
        if (!order) return false;
        if (order < 0) break;
        *last = last[-1];
    }
    *last = member;
    return true;
}

static bool put_object(struct rows_work *work, struct buffer *to, struct reader *reader,
                       bool is_sorted, int64_t first_free) {
    struct member *const first = work->sorted + first_free;
    int64_t n_members = 0;
    if (!PUT(to, "{")) return false;
    if (take(reader, '}')) return PUT(to, "}");
    do {
        struct member member;
        if (first_free + n_members == MOST_SORTED) return false;
        if (!read_name(reader, &member.name) || !read_value(reader, &member.value)) return false;
        if (!is_sorted) first[n_members] = member;
        else if (!insert_member(first, first + n_members, member)) return false;
        n_members++;
    } while (take(reader, ','));
    for (int64_t i = 0; i < n_members; i++)
        if (!put_name(to, first[i].name, i == 0) ||
            !put_value(work, to, &first[i].value, is_sorted, first_free + n_members))
            return false;
    return take(reader, '}') && PUT(to, "}");
}

/* No deeper than `read_value` has allowed. */
static bool put_nested(struct rows_work *work, struct buffer *to, struct reader *reader,
                       bool is_sorted, int64_t first_free) {
    return take(reader, '{') ? put_object(work, to, reader, is_sorted, first_free)
                             : take(reader, '[') && put_list(work, to, reader, is_sorted, first_free);
}

static bool put_metadata(struct rows_work *work, struct buffer *to, bool is_sorted) {
    bool is_first = true;
    if (!PUT(to, "{")) return false;
    const int64_t n_members = is_sorted ? work->n_kept : work->n_members;
    for (int64_t i = 0; i < n_members; i++) {
        const int64_t at = is_sorted ? work->order[i] : i;
        if (!work->roles[at].is_kept) continue;
        if (!put_name(to, work->members[at].name, is_first) ||
            !put_value(work, to, &work->members[at].value, is_sorted, 0))
            return false;
        is_first = false;
    }
    return PUT(to, "}");
}

static bool put_field(struct rows_work *work, enum field field) {
    const struct value *value = work->fields[field];
    return value ? put_text(&work->content, value) : PUT(&work->content, "null");
}

static bool put_moment(struct rows_work *work) {
    struct buffer *content = &work->content;
    if (!work->fields[PUBLISHED_AT]) return PUT(content, "null");
    char *to = room_for(content, LONGEST_MOMENT);
    if (!to) return false;
    *to++ = '"';
    to = write_moment(&work->moment, to);
    *to++ = '"';
    wrote(content, to);
    return true;
}

/* The fields and `metadata`, in the order of their names. */
static bool put_content(struct rows_work *work) {
    struct buffer *content = &work->content;
    content->size = 0;
    if (!PUT(content, "{\"author\":") || !put_field(work, AUTHOR) ||
        !PUT(content, ",\"category\":") || !put_field(work, CATEGORY) ||
        !PUT(content, ",\"content\":") || !put_field(work, CONTENT) ||
        !PUT(content, ",\"description\":") || !put_field(work, DESCRIPTION) ||
        !PUT(content, ",\"metadata\":"))
        return false;
    const int64_t start = content->size;
    if (!put_metadata(work, content, true)) return false;
    const int64_t end = content->size;
    if (!PUT(content, ",\"published_at\":") || !put_moment(work) ||
        !PUT(content, ",\"title\":") || !put_field(work, TITLE) || !PUT(content, ",\"url\":") ||
        !put_field(work, URL) || !PUT(content, "}"))
        return false;
    work->metadata = (struct text){content->bytes + start, end - start};
    return true;
}

/* As the row has it: in the payload's order. */
static bool put_unsorted(struct rows_work *work) {
    if (work->is_lean || (work->is_in_order && !work->has_nested)) return true;
    work->unsorted.size = 0;
    if (!put_metadata(work, &work->unsorted, false)) return false;
    work->metadata = (struct text){work->unsorted.bytes, work->unsorted.size};
    return true;
}

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

static bool make_key(struct rows_work *work) {
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

static bool is_of_host(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || c == '.' || c == '-';
}

/* Where the host of an address begins that `normal_url` takes without a parser (PLAIN_URL); NULL of
   all others. */
static const char *host_of(const struct value *url) {
    const char *at = url->at, *const end = at + url->size;
    if (url->wide || url->escaped) return NULL;
    if (url->size > 8 && memcmp(at, "https://", 8) == 0) at += 8;
    else if (url->size > 7 && memcmp(at, "http://", 7) == 0) at += 7;
    else return NULL;
    const char *const host = at;
    while (at < end && is_of_host(*at)) at++;
    if (at == host || (at < end && *at != '/')) return NULL;
    for (; at < end; at++)
        if (*at == '?' || *at == '#' || *at == ' ') return NULL;
    return host;
}

static bool name_by_url(struct rows_work *work, const struct value *url) {
    const char *host = host_of(url), *end = url->at + url->size;
    if (!host) return false;
    while (end[-1] == '/') end--;
    struct buffer *made = &work->made_entity;
    return PUT(made, "https://") && put(made, host, end - host);
}

static bool name_by_key(struct rows_work *work) {
    struct buffer *made = &work->made_entity;
    if (!put(made, work->way->named_by_key.at, work->way->named_by_key.size)) return false;
    char *to = room_for(made, work->key.size);
    if (!to) return false;
    wrote(made, write_plain(&work->key, to));
    return true;
}

static bool make_entity(struct rows_work *work) {
    const struct value *url = work->fields[URL];
    work->made_entity.size = 0;
    return url ? name_by_url(work, url) : name_by_key(work);
}

char *write_plain(const struct value *value, char *to) {
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

bool make_record(struct rows_work *work) {
    if (!put_content(work) || !put_unsorted(work)) return false;
    sha256_hex(work->compress, work->content.bytes, work->content.size, work->hash);
    if (!make_key(work)) return false;
    if (work->is_lean) return true;
    if (!make_entity(work)) return false;
    sha256_hex(work->compress, work->made_entity.bytes, work->made_entity.size, work->entity_hash);
    return true;
}
