#include "mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn static void out_of_memory(size_t count, size_t size)
{
    fprintf(stderr, "trdpo-vk: out of host memory: %zu x %zu bytes were wanted\n", count, size);
    abort();
}

// The byte count, at least 1: an empty object has an address too.
static size_t bytes_of(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) out_of_memory(count, size);
    return count * size > 0 ? count * size : 1;
}

void *mem_calloc(size_t count, size_t size)
{
    void *ptr = calloc(1, bytes_of(count, size));
    if (!ptr) out_of_memory(count, size);
    return ptr;
}

void *mem_realloc(void *ptr, size_t count, size_t size)
{
    void *grown = realloc(ptr, bytes_of(count, size));
    if (!grown) out_of_memory(count, size);
    return grown;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

char *mem_strndup(const char *text, size_t len)
{
    if (len == SIZE_MAX) out_of_memory(len, 1);
    char *copy = mem_realloc(NULL, len + 1, 1);
    if (len > 0) memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void mem_free(void *ptr)
{
    free(ptr);
}
