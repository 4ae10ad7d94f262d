/* Bytes that stand somewhere, and buffers that grow. */

#ifndef BYTES_H
#define BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Words of bytes are looked through from their low end."
#endif

/* Laid out as Text in compiled.py. */
struct text {
    const char *at;
    int64_t size;
};

struct buffer {
    char *bytes;
    int64_t size, room;
};

enum { LEAST_ROOM = 1 << 12 };

/* Where the next `more` bytes may be written; NULL if there is no memory. */
static inline char *room_for(struct buffer *buffer, int64_t more) {
    if (buffer->room - buffer->size < more) {
        int64_t room = buffer->room ? 2 * buffer->room : LEAST_ROOM;
        if (room < buffer->size + more) room = buffer->size + more;
        char *bytes = realloc(buffer->bytes, (size_t)room);
        if (!bytes) return NULL;
        buffer->bytes = bytes;
        buffer->room = room;
    }
    return buffer->bytes + buffer->size;
}

/* What has been written from where room was made. */
static inline void wrote(struct buffer *buffer, const char *end) {
    buffer->size = end - buffer->bytes;
}

static inline bool put(struct buffer *buffer, const char *at, int64_t size) {
    char *to = room_for(buffer, size);
    if (!to) return false;
    memcpy(to, at, (size_t)size);
    buffer->size += size;
    return true;
}

#define PUT(buffer, literal) put(buffer, literal, sizeof literal - 1)

static inline bool same(struct text one, const char *at, int64_t size) {
    return one.size == size && memcmp(one.at, at, (size_t)size) == 0;
}

/* By their bytes, which in UTF-8 is the order of their characters. */
static inline int compared(struct text one, struct text other) {
    const int64_t size = one.size < other.size ? one.size : other.size;
    const int order = memcmp(one.at, other.at, (size_t)size);
    return order ? order : (one.size > other.size) - (one.size < other.size);
}

static inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

#endif
