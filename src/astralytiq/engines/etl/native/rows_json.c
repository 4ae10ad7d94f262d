/* A payload's values, written into `metadata`. */

#include "rows.h"

bool put_text(struct buffer *to, const struct value *value) {
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

static bool put_number(struct rows_work *work, struct buffer *to, const struct value *value) {
    char *const at = room_for(to, LONGEST_NUMBER);
    const char *end = at ? write_number(value->at, value->size, at) : NULL;
    if (!end) return false;
    if (end - at != value->size || memcmp(at, value->at, (size_t)value->size) != 0)
        work->is_respelled = true;
    wrote(to, end);
    return true;
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
                       struct form form);

/* What is nested is put as it stands where it need not be in order and was found in order before,
   all its numbers, too. */
bool put_value(struct rows_work *work, struct buffer *to, const struct value *value,
               struct form form) {
    if (work->way->cells) return put_cell(to, value);
    if (value->kind == TEXT) return put_text(to, value);
    if (value->kind == NUMBER) return put_number(work, to, value);
    const bool as_it_stands = !form.is_sorted && !form.paths && !work->is_respelled;
    if (value->kind != NESTED || as_it_stands) return put(to, value->at, value->size);
    struct reader reader = {value->at, value->at + value->size};
    return put_nested(work, to, &reader, form) && reader.at == reader.end;
}

static bool put_list(struct rows_work *work, struct buffer *to, struct reader *reader,
                     struct form form) {
    if (!PUT(to, "[")) return false;
    if (take(reader, ']')) return PUT(to, "]");
    for (bool is_first = true;; is_first = false) {
        struct value value;
        if (!is_first && !PUT(to, ",")) return false;
        if (!read_value(reader, &value)) return false;
        if (!put_value(work, to, &value, form)) return false;
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

/* Which paths go on below a member; whether it ends one, which takes it whole. */
static bool is_taken(const struct rows_way *way, struct text name, struct form form,
                     uint8_t *below) {
    *below = 0;
    for (int field = 0; form.paths >> field; field++) {
        const struct path *path = &way->fields[field];
        if (!(form.paths >> field & 1)) continue;
        const struct text step = path->steps[form.step];
        if (!same(name, step.at, step.size)) continue;
        if (form.step + 1 == path->n_steps) return true;
        *below |= (uint8_t)(1 << field);
    }
    return false;
}

static bool put_members(struct rows_work *work, struct buffer *to, const struct member *members,
                        int64_t n_members, struct form form) {
    bool is_first = true;
    form.first_free += n_members;
    for (int64_t i = 0; i < n_members; i++) {
        struct form below = form;
        if (form.paths && is_taken(work->way, members[i].name, form, &below.paths)) continue;
        below.step++;
        if (!put_member(work, to, &members[i], below, &is_first)) return false;
    }
    return true;
}

static bool put_object(struct rows_work *work, struct buffer *to, struct reader *reader,
                       struct form form) {
    struct member *const first = work->sorted + form.first_free;
    int64_t n_members = 0;
    if (!PUT(to, "{")) return false;
    if (take(reader, '}')) return PUT(to, "}");
    do {
        struct member member;
        if (form.first_free + n_members == MOST_SORTED) return false;
        if (!read_name(reader, &member.name) || !read_value(reader, &member.value)) return false;
        if (!form.is_sorted) first[n_members] = member;
        else if (!insert_member(first, first + n_members, member)) return false;
        n_members++;
    } while (take(reader, ','));
    return put_members(work, to, first, n_members, form) && take(reader, '}') && PUT(to, "}");
}

/* No deeper than `read_value` has allowed. */
static bool put_nested(struct rows_work *work, struct buffer *to, struct reader *reader,
                       struct form form) {
    return take(reader, '{') ? put_object(work, to, reader, form)
                             : take(reader, '[') && put_list(work, to, reader, form);
}

bool put_member(struct rows_work *work, struct buffer *to, const struct member *member,
                struct form form, bool *is_first) {
    const int64_t start = to->size;
    if (!put_name(to, member->name, *is_first)) return false;
    const int64_t start_of_value = to->size;
    if (member->value.kind != NESTED || *member->value.at != '{') form.paths = 0;
    if (!put_value(work, to, &member->value, form)) return false;
    if (form.paths && to->size == start_of_value + 2) to->size = start;
    else *is_first = false;
    return true;
}
