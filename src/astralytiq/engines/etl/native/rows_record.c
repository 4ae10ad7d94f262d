/* The record of a payload: canonical JSON and its hash. */

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

bool make_record(struct rows_work *work) {
    if (!put_content(work) || !put_unsorted(work)) return false;
    sha256_hex(work->compress, work->content.bytes, work->content.size, work->hash);
    if (!make_key(work)) return false;
    if (work->is_lean) return true;
    if (!make_entity(work)) return false;
    sha256_hex(work->compress, work->made_entity.bytes, work->made_entity.size, work->entity_hash);
    return true;
}
