// Growing arrays: struct ARRAY(int) a = {0}; ARRAY_PUSH(&a, 3); a.items[0]; a.count;
// ARRAY_FREE(&a).
#ifndef TRDPO_BASE_ARRAY_H
#define TRDPO_BASE_ARRAY_H

#include "mem.h"

#include <stddef.h>

// The body of an array struct: `struct int_array ARRAY_OF(int);` or an anonymous struct member.
#define ARRAY_OF(type)                                                                             \
    {                                                                                              \
        type *items;                                                                               \
        size_t count, capacity;                                                                    \
    }

// Makes room for `want` items in all.
#define ARRAY_RESERVE(a, want)                                                                     \
    do {                                                                                           \
        size_t array_want_ = (want);                                                               \
        if (array_want_ > (a)->capacity) {                                                         \
            size_t array_cap_ = (a)->capacity ? (a)->capacity * 2 : 16;                            \
            if (array_cap_ < array_want_) array_cap_ = array_want_;                                \
            (a)->items = mem_realloc((a)->items, array_cap_, sizeof *(a)->items);                  \
            (a)->capacity = array_cap_;                                                            \
        }                                                                                          \
    } while (0)

// Appends one value.
#define ARRAY_PUSH(a, ...)                                                                         \
    do {                                                                                           \
        ARRAY_RESERVE((a), (a)->count + 1);                                                        \
        (a)->items[(a)->count++] = (__VA_ARGS__);                                                  \
    } while (0)

// Frees the storage and empties the array.
#define ARRAY_FREE(a)                                                                              \
    do {                                                                                           \
        mem_free((a)->items);                                                                      \
        (a)->items = NULL;                                                                         \
        (a)->count = (a)->capacity = 0;                                                            \
    } while (0)

#endif
