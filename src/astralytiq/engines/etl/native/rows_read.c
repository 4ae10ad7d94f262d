/* A payload's fields, and what each is for. */

#include "rows.h"

static bool is_let_in(const struct rows_way *way, struct text name) {
    if (!way->let_in) return true;
    int64_t low = 0, high = way->n_let_in;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        const int order = compared(way->let_in[middle], name);
        if (!order) return true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

static struct role role_of(const struct rows_way *way, struct text name) {
    struct role role = {0};
    for (int i = 0; i < N_FIELDS; i++)
        if (same(way->fields[i], name.at, name.size)) role.fields |= (uint8_t)(1 << i);
    for (int64_t i = 0; i < way->n_keys; i++)
        if (same(way->keys[i], name.at, name.size)) role.keys |= (uint8_t)(1 << i);
    role.is_kept = !role.fields && is_let_in(way, name);
    return role;
}

/* The names of the payload in hand become those that the next one is expected to have; false where
   a name comes twice, of which Python knows which counts. */
static bool learn_names(struct rows_work *work) {
    int seen_fields = 0, seen_keys = 0;
    work->n_names = work->n_kept = 0;
    work->is_in_order = true;
    for (int64_t i = 0; i < work->n_members; i++) {
        const struct text name = work->members[i].name;
        const struct role role = role_of(work->way, name);
        if ((role.fields & seen_fields) || (role.keys & seen_keys)) return false;
        seen_fields |= role.fields;
        seen_keys |= role.keys;
        work->names[i] = name;
        work->roles[i] = role;
        if (!role.is_kept) continue;
        int64_t place = work->n_kept++;
        for (; place; place--) {
            const int order = compared(work->names[work->order[place - 1]], name);
            if (!order) return false;
            if (order < 0) break;
            work->order[place] = work->order[place - 1];
            work->is_in_order = false;
        }
        work->order[place] = (int16_t)i;
    }
    work->n_names = work->n_members;
    return true;
}

static bool read_members(struct rows_work *work, struct reader *reader) {
    bool as_before = true;
    work->n_members = 0;
    if (!take(reader, '{')) return false;
    if (!take(reader, '}')) {
        do {
            if (work->n_members == MOST_MEMBERS) return false;
            struct member *member = &work->members[work->n_members];
            if (!read_name(reader, &member->name) || !read_value(reader, &member->value))
                return false;
            as_before = as_before && work->n_members < work->n_names &&
                        same(work->names[work->n_members], member->name.at, member->name.size);
            work->n_members++;
        } while (take(reader, ','));
        if (!take(reader, '}')) return false;
    }
    /* Without names there is nothing to know again: none may be learnt yet, or not all. */
    const bool are_known = as_before && work->n_names && work->n_members == work->n_names;
    return are_known || learn_names(work);
}

/* What a field takes of a number or a truth value: its text. */
static const struct value *as_text(struct rows_work *work, const struct value *value, int field) {
    char *const to = work->room_for_texts[field], *end = to;
    if (value->kind == NESTED) return NULL;
    if (value->kind == NUMBER) {
        end = write_number(value->at, value->size, to);
        if (!end) return NULL;
    } else {
        memcpy(to, value->at, (size_t)value->size);
        end += value->size;
    }
    work->texts_of_fields[field] = (struct value){.at = to, .size = end - to, .kind = TEXT};
    return &work->texts_of_fields[field];
}

static bool take_field(struct rows_work *work, const struct value *value, int field) {
    if (value->kind == NOTHING || (value->kind == TEXT && !value->size)) return true;
    if (field == PUBLISHED_AT) {
        if (value->kind != TEXT || value->escaped) return false;
        work->fields[field] = value;
        return read_moment(value->at, value->size, &work->moment);
    }
    work->fields[field] = value->kind == TEXT ? value : as_text(work, value, field);
    return work->fields[field] != NULL;
}

static bool take_member(struct rows_work *work, const struct value *value, struct role role) {
    if (work->way->cells && value->kind != TEXT) return false;
    for (int field = 0; role.fields >> field; field++)
        if (role.fields >> field & 1 && !take_field(work, value, field)) return false;
    for (int part = 0; role.keys >> part; part++)
        if (role.keys >> part & 1) work->keys[part] = value;
    if (role.is_kept && value->kind == NESTED) work->has_nested = true;
    return true;
}

bool read_payload(struct rows_work *work, struct reader *reader) {
    memset(work->fields, 0, sizeof work->fields);
    memset(work->keys, 0, sizeof work->keys);
    work->has_nested = false;
    if (!read_members(work, reader)) return false;
    for (int64_t i = 0; i < work->n_members; i++)
        if (!take_member(work, &work->members[i].value, work->roles[i])) return false;
    return true;
}
