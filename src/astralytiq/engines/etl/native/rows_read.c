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

static void add_role(const struct path *path, struct text name, uint8_t bit, uint8_t *whole,
                     uint8_t *below) {
    if (same(path->whole, name.at, name.size)) *whole |= bit;
    else if (path->n_steps > 1 && same(path->steps[0], name.at, name.size)) *below |= bit;
}

static struct role role_of(const struct rows_way *way, struct text name) {
    struct role role = {0};
    for (int i = 0; i < N_FIELDS; i++)
        add_role(&way->fields[i], name, (uint8_t)(1 << i), &role.fields, &role.fields_below);
    for (int64_t i = 0; i < way->n_keys; i++)
        add_role(&way->keys[i], name, (uint8_t)(1 << i), &role.keys, &role.keys_below);
    role.is_kept = !role.fields && is_let_in(way, name);
    return role;
}

/* Whether the two have no part in common; what `seen` has is added to. */
static bool add_seen(struct role *seen, struct role role) {
    const bool is_new = !(role.fields & seen->fields) && !(role.keys & seen->keys) &&
                        !(role.fields_below & seen->fields_below) &&
                        !(role.keys_below & seen->keys_below);
    seen->fields |= role.fields;
    seen->keys |= role.keys;
    seen->fields_below |= role.fields_below;
    seen->keys_below |= role.keys_below;
    return is_new;
}

/* Where a field has the path as its name nothing is looked for from step to step. */
static void leave_steps(struct rows_work *work, struct role seen) {
    if (!(seen.fields & seen.fields_below) && !(seen.keys & seen.keys_below)) return;
    for (int64_t i = 0; i < work->n_members; i++) {
        work->roles[i].fields_below &= (uint8_t)~seen.fields;
        work->roles[i].keys_below &= (uint8_t)~seen.keys;
    }
}

/* The names of the payload in hand become those that the next one is expected to have; false where
   a name comes twice, of which Python knows which counts. */
static bool learn_names(struct rows_work *work) {
    struct role seen = {0};
    work->n_names = work->n_kept = 0;
    work->is_in_order = true;
    for (int64_t i = 0; i < work->n_members; i++) {
        const struct text name = work->members[i].name;
        const struct role role = role_of(work->way, name);
        if (!add_seen(&seen, role)) return false;
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
    leave_steps(work, seen);
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
        work->fields[field] = value;
        if (value->kind == NUMBER) return read_epoch(value->at, value->size, &work->moment);
        if (value->kind != TEXT || value->escaped) return false;
        return read_moment(value->at, value->size, &work->moment);
    }
    work->fields[field] = value->kind == TEXT ? value : as_text(work, value, field);
    return work->fields[field] != NULL;
}

/* What the paths that begin with this member lead to. */
static bool take_below(struct rows_work *work, const struct value *value, struct role role) {
    const struct rows_way *way = work->way;
    for (int field = 0; role.fields_below >> field; field++) {
        struct value *found = &work->fields_found[field];
        if (!(role.fields_below >> field & 1)) continue;
        if (!find_below(&way->fields[field], value, found) || !take_field(work, found, field))
            return false;
    }
    for (int part = 0; role.keys_below >> part; part++) {
        if (!(role.keys_below >> part & 1)) continue;
        if (!find_below(&way->keys[part], value, &work->keys_found[part])) return false;
        work->keys[part] = &work->keys_found[part];
    }
    return true;
}

static bool take_member(struct rows_work *work, const struct value *value, struct role role) {
    if (work->way->cells && value->kind != TEXT) return false;
    for (int field = 0; role.fields >> field; field++)
        if (role.fields >> field & 1 && !take_field(work, value, field)) return false;
    for (int part = 0; role.keys >> part; part++)
        if (role.keys >> part & 1) work->keys[part] = value;
    if (role.is_kept && value->kind == NESTED) work->has_nested = true;
    return !(role.fields_below | role.keys_below) || take_below(work, value, role);
}

bool read_payload(struct rows_work *work, struct reader *reader) {
    memset(work->fields, 0, sizeof work->fields);
    memset(work->keys, 0, sizeof work->keys);
    work->has_nested = work->is_respelled = false;
    if (!read_members(work, reader)) return false;
    for (int64_t i = 0; i < work->n_members; i++)
        if (!take_member(work, &work->members[i].value, work->roles[i])) return false;
    return true;
}
