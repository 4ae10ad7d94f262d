/* The record of a payload: canonical JSON and its hash. */

#include "rows.h"

static bool put_metadata(struct rows_work *work, struct buffer *to, bool is_sorted) {
    bool is_first = true;
    if (!PUT(to, "{")) return false;
    const int64_t n_members = is_sorted ? work->n_kept : work->n_members;
    for (int64_t i = 0; i < n_members; i++) {
        const int64_t at = is_sorted ? work->order[i] : i;
        if (!work->roles[at].is_kept) continue;
        const struct form form = {is_sorted, 0, work->roles[at].fields_below, 1};
        if (!put_member(work, to, &work->members[at], form, &is_first)) return false;
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
