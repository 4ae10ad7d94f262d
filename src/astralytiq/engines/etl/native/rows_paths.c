/* Values within others. */

#include "rows.h"

/* Longer numbers name no item; as in paths.py. */
enum { MOST_STEP_DIGITS = 9 };

/* The value of a name; false where a name is there twice, of which Python knows which counts. */
static bool find_member(struct reader *reader, struct text name, struct value *found) {
    bool is_found = false;
    if (take(reader, '}')) return true;
    do {
        struct member member;
        if (!read_name(reader, &member.name) || !read_value(reader, &member.value)) return false;
        if (!same(member.name, name.at, name.size)) continue;
        if (is_found) return false;
        is_found = true;
        *found = member.value;
    } while (take(reader, ','));
    return take(reader, '}');
}

/* Which item of a list a step names; -1 if none. */
static int64_t place_of(struct text step) {
    int64_t place = 0;
    if (!step.size || step.size > MOST_STEP_DIGITS) return -1;
    for (int64_t i = 0; i < step.size; i++) {
        if (!is_digit(step.at[i])) return -1;
        place = 10 * place + (step.at[i] - '0');
    }
    return place;
}

static bool find_item(struct reader *reader, struct text step, struct value *found) {
    const int64_t place = place_of(step);
    if (place < 0 || take(reader, ']')) return true;
    for (int64_t i = 0;; i++) {
        struct value value;
        if (!read_value(reader, &value)) return false;
        if (i == place) {
            *found = value;
            return true;
        }
        if (!take(reader, ',')) return take(reader, ']');
    }
}

bool find_below(const struct path *path, const struct value *first, struct value *found) {
    *found = *first;
    for (int64_t i = 1; i < path->n_steps; i++) {
        struct reader reader = {found->at, found->at + found->size};
        const bool is_nested = found->kind == NESTED;
        *found = (struct value){.kind = NOTHING};
        if (!is_nested) return true;
        const bool is_read = take(&reader, '{') ? find_member(&reader, path->steps[i], found)
                                                : take(&reader, '[') &&
                                                      find_item(&reader, path->steps[i], found);
        if (!is_read) return false;
    }
    return true;
}
