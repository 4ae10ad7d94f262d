/* Rows of a CSV file as JSON.

   The definition is csv_rows.py: the rows are those that Python's csv.reader finds when it is
   strict, the JSON is what msgspec writes of their dicts. Whatever is not plain (another number of
   cells, bytes that are not UTF-8, a NUL, text behind a closing quote) is left to Python, from its
   record on: nothing here has to know what becomes of it. */

#include "csv.h"

#include <stdbool.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Words of bytes are looked through from their low end."
#endif

/* Why reading stopped; FULL, MORE and UNUSUAL are known to compiled_csv.py. */
enum status {
    FINE,
    FULL,    /* there is no room for more, or enough was found */
    MORE,    /* the next record is not whole in the block */
    UNUSUAL, /* the next record is for Python */
};

enum { WORD = 8 };

#define EACH_BYTE 0x0101010101010101u
#define HIGH_BITS 0x8080808080808080u

struct reading {
    const char *at, *end; /* what is read */
    char *out, *out_end;  /* where it is written */
    int64_t lines;
    const struct csv_form *form;
    uint64_t delimiters, quotes; /* words of nothing else, to be compared with */
    bool last;
};

/* Marks the bytes of a word that are zero; above the first a borrow may mark others, too. */
static inline uint64_t zeros(uint64_t word) { return (word - EACH_BYTE) & ~word; }

/* Marks what cannot be copied as it stands: of the marks only the lowest is sure. */
static inline uint64_t special(uint64_t word, uint64_t stops) {
    const uint64_t controls = (word - EACH_BYTE * ' ') & ~word;
    return (controls | word | zeros(word ^ EACH_BYTE * '"') | zeros(word ^ EACH_BYTE * '\\') |
            zeros(word ^ stops)) &
           HIGH_BITS;
}

static inline bool is_special(char byte, char stop) {
    const unsigned char code = (unsigned char)byte;
    return code < ' ' || code >= 0x80 || byte == '"' || byte == '\\' || byte == stop;
}

/* Copies up to the first byte that is special, or of which all stops are, or to the end. */
static inline enum status copy_plain(struct reading *r, uint64_t stops) {
    const char *at = r->at;
    char *out = r->out;
    uint64_t marks = 0;
    while (!marks && r->end - at >= WORD) {
        if (r->out_end - out < WORD) return FULL;
        uint64_t word;
        memcpy(&word, at, WORD);
        memcpy(out, &word, WORD);
        marks = special(word, stops);
        const int plain = marks ? __builtin_ctzll(marks) / 8 : WORD;
        at += plain;
        out += plain;
    }
    while (!marks && at < r->end && !is_special(*at, (char)stops)) {
        if (out == r->out_end) return FULL;
        *out++ = *at++;
    }
    r->at = at;
    r->out = out;
    return FINE;
}

static inline bool put(struct reading *r, const char *bytes, int64_t size) {
    if (r->out_end - r->out < size) return false;
    memcpy(r->out, bytes, (size_t)size);
    r->out += size;
    return true;
}

static inline bool follows(const char *at) { return ((unsigned char)*at & 0xC0) == 0x80; }

/* How many bytes a character has by its first, and between what its second must lie: so are refused
   what could be written shorter, surrogates, and what is above U+10FFFF. 0: there is none such. */
static inline int length_by(unsigned char first, unsigned char *low, unsigned char *high) {
    *low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    *high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (first < 0xC2 || first > 0xF4) return 0;
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

/* Copies characters that are not ASCII. */
static enum status copy_wide(struct reading *r) {
    while (r->at < r->end && (unsigned char)*r->at >= 0x80) {
        unsigned char low, high;
        const int size = length_by((unsigned char)*r->at, &low, &high);
        if (!size) return UNUSUAL;
        if (r->end - r->at < size) return r->last ? UNUSUAL : MORE;
        const unsigned char second = (unsigned char)r->at[1];
        if (second < low || second > high) return UNUSUAL;
        for (int i = 2; i < size; i++)
            if (!follows(r->at + i)) return UNUSUAL;
        if (!put(r, r->at, size)) return FULL;
        r->at += size;
    }
    return FINE;
}

/* Writes an ASCII character as msgspec does. */
static enum status put_character(struct reading *r, char c) {
    static const char digits[] = "0123456789abcdef";
    char escape[6] = {'\\', 'u', '0', '0', digits[(c >> 4) & 1], digits[c & 15]};
    int size = 2;
    switch (c) {
    case '\0': return UNUSUAL;
    case '"':
    case '\\': escape[1] = c; break;
    case '\b': escape[1] = 'b'; break;
    case '\t': escape[1] = 't'; break;
    case '\n': escape[1] = 'n'; break;
    case '\f': escape[1] = 'f'; break;
    case '\r': escape[1] = 'r'; break;
    default:
        if (c < ' ') size = 6;
        else escape[0] = c, size = 1;
    }
    return put(r, escape, size) ? FINE : FULL;
}

static inline enum status copy_special(struct reading *r) {
    if ((unsigned char)*r->at >= 0x80) return copy_wide(r);
    const enum status status = put_character(r, *r->at);
    if (!status) r->at++;
    return status;
}

static inline bool ends_line(char c) { return c == '\n' || c == '\r'; }

/* Past \n, \r or \r\n; at the end of the stream a line may do without. */
static enum status end_line(struct reading *r) {
    if (r->at < r->end && *r->at++ == '\r') {
        if (r->at == r->end && !r->last) return MORE;
        if (r->at < r->end && *r->at == '\n') r->at++;
    }
    r->lines++;
    return FINE;
}

/* Up to what ends the cell. A quote that does not open a cell is text. */
static inline enum status plain_cell(struct reading *r) {
    for (;;) {
        enum status status = copy_plain(r, r->delimiters);
        if (status) return status;
        if (r->at == r->end) return r->last ? FINE : MORE;
        if (*r->at == (char)r->form->delimiter || ends_line(*r->at)) return FINE;
        status = copy_special(r);
        if (status) return status;
    }
}

/* Behind a quote within a quoted cell: whether it was doubled, or closed the cell as it should. */
static inline enum status behind_quote(struct reading *r, bool *closed) {
    *closed = true;
    if (r->at == r->end) return r->last ? FINE : MORE;
    *closed = *r->at != (char)r->form->quote;
    if (*closed) return *r->at == (char)r->form->delimiter || ends_line(*r->at) ? FINE : UNUSUAL;
    return put_character(r, *r->at++);
}

static enum status quoted_cell(struct reading *r) {
    bool closed = false;
    r->at++;
    while (!closed) {
        enum status status = copy_plain(r, r->quotes);
        if (status) return status;
        if (r->at == r->end) return r->last ? UNUSUAL : MORE;
        const char c = *r->at;
        if (c == (char)r->form->quote) {
            r->at++;
            status = behind_quote(r, &closed);
        } else {
            r->lines += c == '\r' || (c == '\n' && r->at[-1] != '\r');
            status = copy_special(r);
        }
        if (status) return status;
    }
    return FINE;
}

static inline enum status cell(struct reading *r) {
    const char *start = r->at;
    const bool quoted = r->at < r->end && (unsigned char)*r->at == r->form->quote;
    const enum status status = quoted ? quoted_cell(r) : plain_cell(r);
    return r->at - start > r->form->longest_cell ? UNUSUAL : status;
}

static inline enum status record(struct reading *r) {
    const struct csv_form *form = r->form;
    int64_t name = 0;
    for (int64_t column = 0; column < form->n_columns; column++) {
        if (!put(r, form->names + name, form->name_ends[column] - name)) return FULL;
        name = form->name_ends[column];
        const enum status status = cell(r);
        if (status) return status;
        const bool is_last = r->at == r->end || *r->at != (char)form->delimiter;
        if (is_last != (column + 1 == form->n_columns)) return UNUSUAL;
        if (!is_last) r->at++;
    }
    return put(r, "\"}", 2) ? end_line(r) : FULL;
}

/* The next record, if it is whole; else everything stays as it was. */
static inline enum status next_record(struct reading *r) {
    const struct reading before = *r;
    enum status status = record(r);
    const bool too_long = r->at - before.at > r->form->longest_record;
    if (too_long && status != FULL) status = UNUSUAL;
    if (status) *r = before;
    return status;
}

static enum status pass_blank_lines(struct reading *r) {
    while (r->at < r->end && ends_line(*r->at)) {
        const char *start = r->at;
        if (end_line(r)) {
            r->at = start;
            return MORE;
        }
    }
    return r->at == r->end ? MORE : FINE;
}

/* One text: a JSON array of at most `most` rows. */
static enum status take_text(struct reading *r, int64_t most, int64_t *size) {
    enum status status = FINE;
    for (*size = 0; *size < most; ++*size) {
        status = pass_blank_lines(r);
        if (status) break;
        if (!put(r, *size ? "," : "[", 1)) {
            status = FULL;
            break;
        }
        status = next_record(r);
        if (status) {
            r->out--;
            break;
        }
    }
    if (*size) *r->out++ = ']';
    return status;
}

/* Writes the next whole rows of the block, and says what they took and why there are no more. */
int32_t csv_take(const struct csv_form *form, const struct csv_block *block,
                 struct csv_texts *texts) {
    struct reading r = {
        .at = block->bytes,
        .end = block->bytes + block->size,
        .out = texts->bytes,
        .out_end = texts->bytes + texts->room - WORD, /* so that a text can always be ended */
        .form = form,
        .delimiters = EACH_BYTE * (unsigned char)form->delimiter,
        .quotes = EACH_BYTE * (unsigned char)form->quote,
        .last = block->last != 0,
    };
    enum status status = FINE;
    texts->n_texts = texts->rows = 0;
    while (!status && texts->rows < texts->most_rows && texts->n_texts < texts->most_texts) {
        const int64_t left = texts->most_rows - texts->rows;
        int64_t size;
        status = take_text(&r, left < texts->slice ? left : texts->slice, &size);
        if (!size) break;
        texts->ends[texts->n_texts] = r.out - texts->bytes;
        texts->sizes[texts->n_texts++] = size;
        texts->rows += size;
    }
    texts->taken = r.at - block->bytes;
    texts->lines = r.lines;
    /* A record for which there is no room at all must not be tried for ever. */
    if (status == FULL && !texts->rows) return UNUSUAL;
    return status ? status : FULL;
}
