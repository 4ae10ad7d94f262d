/* Numbers in the one spelling that msgspec's encoder has for each. */

#ifndef NUMBERS_H
#define NUMBERS_H

#include "bytes.h"

/* Room that any number takes that is written here. */
enum { LONGEST_NUMBER = 40 };

/* What is made of a text by `write_cell_number`. */
enum cell { CELL_NUMBER, CELL_TEXT, CELL_UNSURE };

/* A number of JSON in its one spelling, to LONGEST_NUMBER bytes at `to`; NULL where only Python
   knows it, else the end of what is written. */
char *write_number(const char *at, int64_t size, char *to);

/* The same of a cell of a CSV file, which `from_csv` of values.py may leave the text it is. */
enum cell write_cell_number(const char *at, int64_t size, char **to);

/* A number of JSON as a float64; false where it has too many digits to be sure of it. */
bool read_float(const char *at, int64_t size, double *number);

#endif
