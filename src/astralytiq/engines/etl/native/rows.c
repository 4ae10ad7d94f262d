/* A batch of payloads, all of its texts in one call. */

#include "rows.h"

/* Beyond this a buffer is given back after its batch. */
enum { MOST_KEPT = 1 << 24 };

enum answer { DONE = 0, NO_MEMORY = -1, UNREADABLE = -2 };

/* `plainly`: without the processor's instructions for hashes. */
struct rows_work *rows_new(int32_t plainly) {
    struct rows_work *work = calloc(1, sizeof *work);
    if (work) work->compress = plainly ? sha256_plainly : sha256_compress();
    return work;
}

static void each_buffer(struct rows_work *work, int64_t most) {
    struct buffer *const buffers[] = {&work->ids,      &work->hashes,   &work->rows,
                                      &work->left,     &work->content,  &work->unsorted,
                                      &work->made_key, &work->made_entity,
                                      &work->query};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        if (buffers[i]->room <= most) continue;
        free(buffers[i]->bytes);
        *buffers[i] = (struct buffer){0};
    }
}

/* Gives back what only an unusually large batch needs. */
void rows_rest(struct rows_work *work) { each_buffer(work, MOST_KEPT); }

void rows_free(struct rows_work *work) {
    if (work) each_buffer(work, 0);
    free(work);
}

static bool put_key(struct buffer *ids, const struct value *key) {
    return PUT(ids, "\"") && put(ids, key->at, key->size) && PUT(ids, "\",");
}

static bool put_hash(struct buffer *hashes, const char hash[HEX_DIGITS]) {
    return PUT(hashes, "\"") && put(hashes, hash, HEX_DIGITS) && PUT(hashes, "\",");
}

/* Whether the payload's record stands among those of the batch. */
static bool add_record(struct rows_work *work, struct reader *reader) {
    const int64_t n_ids = work->ids.size, n_hashes = work->hashes.size, n_rows = work->rows.size;
    const char *const start = reader->at;
    if (read_payload(work, reader) && reader->at - start <= LONGEST_PAYLOAD && make_record(work) &&
        (work->is_lean || write_row(work, work->n_payloads)) && put_key(&work->ids, &work->key) &&
        put_hash(&work->hashes, work->hash))
        return true;
    work->ids.size = n_ids;
    work->hashes.size = n_hashes;
    work->rows.size = n_rows;
    return false;
}

static enum answer add_payload(struct rows_work *work, struct reader *reader) {
    const char *const start = reader->at;
    if (!add_record(work, reader)) {
        int64_t deepest;
        reader->at = start;
        if (!pass_value(reader, &deepest) || reader->at == start) return UNREADABLE;
        if (!put(&work->left, (const char *)&work->n_payloads, sizeof work->n_payloads))
            return NO_MEMORY;
    }
    work->n_payloads++;
    return DONE;
}

static enum answer add_text(struct rows_work *work, struct text text) {
    struct reader reader = {text.at, text.at + text.size};
    if (!take(&reader, '[')) return UNREADABLE;
    work->n_names = 0;
    do {
        const enum answer answer = add_payload(work, &reader);
        if (answer != DONE) return answer;
    } while (take(&reader, ','));
    return take(&reader, ']') && reader.at == reader.end ? DONE : UNREADABLE;
}

/* Closes an array whose last member has a comma behind it. */
static bool close_array(struct buffer *buffer) {
    if (buffer->size > 1) buffer->size--;
    return PUT(buffer, "]");
}

/* Texts are arrays of payloads, none of them empty. What is not DONE is for Python as a whole. */
int32_t rows_prepare(struct rows_work *work, const struct rows_way *way, const struct text *texts,
                     int64_t n_texts, int32_t is_lean) {
    work->way = way;
    work->is_lean = is_lean;
    work->n_payloads = 0;
    work->ids.size = work->hashes.size = work->rows.size = work->left.size = 0;
    if (!PUT(&work->ids, "[") || !PUT(&work->hashes, "[")) return NO_MEMORY;
    if (way->for_sqlite && !PUT(&work->rows, "[")) return NO_MEMORY;
    for (int64_t i = 0; i < n_texts; i++) {
        const enum answer answer = add_text(work, texts[i]);
        if (answer != DONE) return answer;
    }
    if (!close_array(&work->ids) || !close_array(&work->hashes)) return NO_MEMORY;
    if (way->for_sqlite && !close_array(&work->rows)) return NO_MEMORY;
    return DONE;
}
