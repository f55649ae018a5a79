// Host memory. Sizes that come from files are checked by their readers before they reach this
// header, so running out here is not a condition a caller can handle: the program says how much it
// wanted and aborts.
#ifndef TRDPO_BASE_MEM_H
#define TRDPO_BASE_MEM_H

#include <stddef.h>

// Zeroed memory for `count` objects of `size` bytes (never NULL; count * size is overflow-checked).
void *mem_calloc(size_t count, size_t size);

// Resizes to `count` objects of `size` bytes; new bytes are not initialised. `ptr` may be NULL.
void *mem_realloc(void *ptr, size_t count, size_t size);

// Copy of a NUL-terminated string, or of `len` bytes with a NUL added. Caller frees with mem_free.
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t len);

// Frees; NULL is accepted.
void mem_free(void *ptr);

// One zeroed object, or `count` of them.
#define MEM_NEW(type) ((type *)mem_calloc(1, sizeof(type)))
#define MEM_ARRAY(type, count) ((type *)mem_calloc((count), sizeof(type)))

#endif
