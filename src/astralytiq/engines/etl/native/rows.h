/* Payloads in, rows of records out: what Normaliser.one of normalise.py makes of a payload, in the
   form in which the database's driver takes it. */

#ifndef ROWS_H
#define ROWS_H

#include "json.h"
#include "moments.h"
#include "numbers.h"
#include "sha256.h"
#include "urls.h"

/* The fields of a record that payloads are mapped to, in the order of FIELDS in normalise.py. */
enum field { TITLE, DESCRIPTION, CONTENT, AUTHOR, PUBLISHED_AT, URL, CATEGORY, N_FIELDS };

enum {
    MOST_KEYS = 8,         /* fields of a primary key */
    MOST_MEMBERS = 1024,   /* of an object */
    MOST_SORTED = 1024,    /* members of objects within objects that are sorted at a time */
    LONGEST_PAYLOAD = 1 << 20,
    LONGEST_KEY = 500      /* characters */
};

/* Where a value is: in the field that has the path as its name, or else from field to field. Laid
   out as Path in compiled.py. */
struct path {
    struct text whole;
    const struct text *steps;
    int64_t n_steps;
};

/* How payloads of a source become rows. Laid out as Way in compiled.py. Names and source stand as
   between the quotes of JSON. */
struct rows_way {
    struct path fields[N_FIELDS]; /* where each of the record's fields comes from */
    const struct path *keys;      /* of the primary key; without any it is the content hash */
    const struct text *let_in;    /* the fields that `metadata` takes, by their bytes; or NULL */
    int64_t n_keys, n_let_in;
    struct text source;
    struct text named_by_key; /* the source and a line's end, as they are hashed */
    int32_t cells;            /* all is text, of a CSV file */
    int32_t for_sqlite;
};

/* What a payload's field is for. */
struct role {
    uint8_t fields; /* of the record, a bit for each */
    uint8_t keys;   /* parts of the primary key, a bit for each */
    uint8_t fields_below, keys_below; /* the same, where it is the first step of their paths */
    bool is_kept;                     /* it goes to `metadata`, but for what lies on a path */
};

struct member {
    struct text name;
    struct value value;
};

/* What was made of a batch, in buffers that serve the next one, too. Laid out as Work in
   compiled.py as far as the first comment. */
struct rows_work {
    struct buffer ids, hashes; /* JSON arrays of texts */
    struct buffer rows;        /* a JSON array of arrays for SQLite, lines of COPY for PostgreSQL */
    struct buffer left;        /* int64_t: the places of the payloads that are left to Python */
    int64_t n_payloads;

    /* Beside what is answered. */
    Compress *compress;
    const struct rows_way *way;
    bool is_lean;

    /* The payload in hand. */
    struct member members[MOST_MEMBERS];
    int64_t n_members;
    const struct value *fields[N_FIELDS]; /* NULL where there is nothing */
    const struct value *keys[MOST_KEYS];
    struct value fields_found[N_FIELDS], keys_found[MOST_KEYS]; /* of those within others */
    struct value texts_of_fields[N_FIELDS]; /* of those that are no texts */
    char room_for_texts[N_FIELDS][LONGEST_NUMBER];
    bool has_nested;
    bool is_respelled; /* a number of `metadata` was not in its one spelling */

    /* The payload before it, as nearly all have the same fields in the same order. */
    struct role roles[MOST_MEMBERS];
    struct text names[MOST_MEMBERS];
    int16_t order[MOST_MEMBERS]; /* of those that are kept: by name */
    int64_t n_names, n_kept;
    bool is_in_order;

    struct moment moment;
    struct value key;
    struct text metadata;   /* within `content` or `unsorted` */
    char hash[HEX_DIGITS], entity_hash[HEX_DIGITS];
    struct buffer content;  /* the record as canonical JSON */
    struct buffer unsorted; /* `metadata` in the payload's order */
    struct buffer made_key, made_entity;
    struct buffer query; /* of an address, decoded */
    struct member sorted[MOST_SORTED];
};

/* Reads the payload at hand into `work`; false where it is for Python. */
bool read_payload(struct rows_work *work, struct reader *reader);

/* The value that a path leads to from that of its first step, NOTHING where it ends before; false
   where it is for Python. */
bool find_below(const struct path *path, const struct value *first, struct value *found);

/* How a value is written. */
struct form {
    bool is_sorted;
    int64_t first_free; /* member of `sorted` */
    uint8_t paths;      /* of the record's fields, that lead into it: what they take is left out */
    int64_t step;       /* of these paths: the name of a member of it */
};

bool put_text(struct buffer *to, const struct value *value);
bool put_value(struct rows_work *work, struct buffer *to, const struct value *value,
               struct form form);

/* A member's name and value, unless `is_first` a comma before them. Nothing is put of an object
   that the paths take all of. */
bool put_member(struct rows_work *work, struct buffer *to, const struct member *member,
                struct form form, bool *is_first);

/* The record's key and, in `made_entity`, what its entity's hash is of; the same. */
bool make_key(struct rows_work *work);
bool make_entity(struct rows_work *work);

/* Makes its record; false where it is for Python. */
bool make_record(struct rows_work *work);

/* Writes the record's row. */
bool write_row(struct rows_work *work, int64_t position);

#endif
