/* The one spelling of a web address, as `normal_url` of normalise.py has it. */

#ifndef URLS_H
#define URLS_H

#include "bytes.h"

enum address { ADDRESS, NO_ADDRESS, UNSURE };

/* Puts it where the text is an address; UNSURE where only Python knows, or there is no memory.
   The text has no characters that JSON would escape; `scratch` is of use only meanwhile. */
enum address put_address(struct buffer *to, struct text text, struct buffer *scratch);

#endif
