/* What is handed to csv_take and comes back from it; laid out as in compiled_csv.py. */

#ifndef CSV_H
#define CSV_H

#include <stdint.h>

/* How a file is written, and what stands before each cell of a row in JSON: `{"id":"` before the
   first, `","title":"` before the next, one behind the other in names. */
struct csv_form {
    const char *names;
    const int64_t *name_ends;
    int64_t n_columns;
    int64_t longest_cell, longest_record; /* in bytes; what is longer is for Python */
    int32_t delimiter, quote;             /* ASCII; the quote is -1 if there is none */
};

/* The bytes to read. `last`: behind them the stream ends. */
struct csv_block {
    const char *bytes;
    int64_t size;
    int32_t last;
};

/* Where the texts go, one behind the other, and what was found. */
struct csv_texts {
    char *bytes;
    int64_t room;
    int64_t *ends, *sizes; /* of each text: where it ends, and how many rows it holds */
    int64_t most_texts, most_rows, slice;
    int64_t n_texts, rows, taken, lines;
};

#endif
