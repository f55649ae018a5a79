#include "hf/safetensors_file.h"

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER 100000000u // bytes; the format's own limit

// The format's dtypes and the bits of an element of each.
static const struct {
    const char *name;
    unsigned bits;
} known_dtypes[] = {
    {"F32", 32},        {"F16", 16},        {"BF16", 16}, {"F64", 64},    {"I64", 64},
    {"I32", 32},        {"I16", 16},        {"I8", 8},    {"U64", 64},    {"U32", 32},
    {"U16", 16},        {"U8", 8},          {"BOOL", 8},  {"C64", 64},    {"F8_E4M3", 8},
    {"F8_E5M2", 8},     {"F8_E8M0", 8},     {"F4", 4},    {"F6_E2M3", 6}, {"F6_E3M2", 6},
    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
};
static const enum dtype own_dtypes[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_U8};

// A tensor's range in the data, for the check that the ranges tile it.
struct range {
    uint64_t begin, end;
    const char *name;
};
struct ranges ARRAY_OF(struct range);

int hf_entry_compare(const void *a, const void *b)
{
    const struct hf_entry *x = a, *y = b;
    return strcmp(x->tensor.name, y->tensor.name);
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

// A whole number that a double holds exactly.
static bool read_uint(const cJSON *item, uint64_t *out)
{
    if (!cJSON_IsNumber(item)) return false;
    double v = item->valuedouble;
    if (!(v >= 0 && v <= 9007199254740992.0) || floor(v) != v) return false;
    *out = (uint64_t)v;
    return true;
}

// a * b in *out, or false if it does not fit.
static bool multiply(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a && b > UINT64_MAX / a) return false;
    *out = a * b;
    return true;
}

static bool read_dtype(const cJSON *item, struct hf_entry *entry, unsigned *bits)
{
    const char *name = cJSON_IsString(item) ? item->valuestring : NULL;
    if (!name) return err_user("its dtype is not a string");
    for (size_t i = 0; i < sizeof known_dtypes / sizeof *known_dtypes; i++) {
        if (strcmp(name, known_dtypes[i].name) != 0) continue;
        *bits = known_dtypes[i].bits;
        for (size_t k = 0; k < sizeof own_dtypes / sizeof *own_dtypes; k++) {
            if (strcmp(name, dtype_name(own_dtypes[k])) != 0) continue;
            entry->tensor.dtype = own_dtypes[k];
            entry->listed = true;
        }
        return true;
    }
    return err_user("its dtype \"%.32s\" is not one of the safetensors format", name);
}

static bool read_shape(const cJSON *item, struct hf_tensor *t)
{
    if (!cJSON_IsArray(item)) return err_user("its shape is not a list");
    t->count = 1;
    for (const cJSON *dim = item->child; dim; dim = dim->next) {
        uint64_t size;
        if (t->dims == HF_MAX_DIMS)
            return err_user("its shape has more than %d dimensions", HF_MAX_DIMS);
        if (!read_uint(dim, &size))
            return err_user("dimension %d of its shape is not a whole number of 0 or more",
                            t->dims);
        if (!multiply(t->count, size, &t->count)) return err_user("its shape overflows 64 bits");
        t->shape[t->dims++] = (int64_t)size;
    }
    return true;
}

static bool read_offsets(const cJSON *item, struct range *range)
{
    const cJSON *begin = cJSON_IsArray(item) ? item->child : NULL;
    const cJSON *end = begin ? begin->next : NULL;
    if (!end || end->next || !read_uint(begin, &range->begin) || !read_uint(end, &range->end))
        return err_user("its data_offsets are not two whole numbers of 0 or more");
    if (range->begin > range->end) return err_user("its data_offsets are reversed");
    return true;
}

// The three members of a tensor's header entry, each there once and nothing else.
static bool find_members(const cJSON *item, const cJSON *found[3])
{
    static const char *const names[3] = {"dtype", "shape", "data_offsets"};
    if (!cJSON_IsObject(item)) return err_user("its entry is not an object");
    for (const cJSON *m = item->child; m; m = m->next) {
        int k = 0;
        while (k < 3 && strcmp(m->string, names[k]) != 0)
            k++;
        if (k == 3) return err_user("its entry has an unknown member \"%.64s\"", m->string);
        if (found[k]) return err_user("its entry has \"%s\" twice", names[k]);
        found[k] = m;
    }
    for (int k = 0; k < 3; k++)
        if (!found[k]) return err_user("its entry lacks \"%s\"", names[k]);
    return true;
}

// Fills `entry` and `range` from a header member; `data` is the file's data section.
static bool read_tensor(const cJSON *item, const uint8_t *data, uint64_t data_size,
                        struct hf_entry *entry, struct range *range)
{
    const cJSON *members[3] = {NULL, NULL, NULL};
    struct hf_tensor *t = &entry->tensor;
    unsigned bits_each = 0;
    uint64_t bits;
    if (!find_members(item, members) || !read_dtype(members[0], entry, &bits_each) ||
        !read_shape(members[1], t) || !read_offsets(members[2], range))
        return false;
    if (range->end > data_size)
        return err_user(
            "its data ends at byte %llu of a data section of %llu bytes; the file is cut "
            "short or damaged",
            (unsigned long long)range->end, (unsigned long long)data_size);
    if (!multiply(t->count, bits_each, &bits)) return err_user("its shape overflows 64 bits");
    if (bits % 8 != 0 || bits / 8 != range->end - range->begin)
        return err_user("its shape and dtype want %llu bytes, its data_offsets span %llu",
                        (unsigned long long)(bits / 8),
                        (unsigned long long)(range->end - range->begin));
    t->data = data + range->begin;
    return true;
}

static bool read_metadata(const cJSON *item, struct hf_pairs *metadata)
{
    if (!cJSON_IsObject(item)) return err_user("__metadata__ is not an object");
    for (const cJSON *m = item->child; m; m = m->next) {
        if (!cJSON_IsString(m))
            return err_user("__metadata__: \"%.64s\" is not a string", m->string);
        if (!metadata) continue;
        struct hf_pair pair = {mem_strdup(m->string), mem_strdup(m->valuestring)};
        ARRAY_PUSH(metadata, pair);
    }
    return true;
}

// The ranges must follow one another from the first byte of the data to the last.
static bool check_tiling(struct ranges *ranges, uint64_t data_size)
{
    uint64_t at = 0;
    if (ranges->count) qsort(ranges->items, ranges->count, sizeof *ranges->items, compare_ranges);
    for (size_t i = 0; i < ranges->count; i++) {
        const struct range *r = &ranges->items[i];
        if (r->begin < at)
            return err_user("the data of tensor \"%.128s\" overlaps that of \"%.128s\"", r->name,
                            ranges->items[i - 1].name);
        if (r->begin > at)
            return err_user(
                "bytes %llu to %llu of the data, before tensor \"%.128s\", belong to no "
                "tensor",
                (unsigned long long)at, (unsigned long long)r->begin, r->name);
        at = r->end;
    }
    if (at != data_size)
        return err_user("the tensors end at byte %llu of the data, which has %llu",
                        (unsigned long long)at, (unsigned long long)data_size);
    return true;
}

static bool read_header(const cJSON *header, const char *path, const uint8_t *data,
                        uint64_t data_size, struct hf_entries *entries, struct hf_pairs *metadata)
{
    struct ranges ranges = {0};
    size_t first = entries->count;
    bool metadata_seen = false;
    for (const cJSON *item = header->child; item; item = item->next) {
        if (strcmp(item->string, "__metadata__") == 0) {
            if (metadata_seen) {
                err_user("\"__metadata__\" is there twice");
                goto fail;
            }
            metadata_seen = true;
            if (!read_metadata(item, metadata)) goto fail;
            continue;
        }
        struct hf_entry entry = {.tensor = {.file = path}};
        struct range range = {.name = item->string};
        if (!read_tensor(item, data, data_size, &entry, &range)) {
            err_context("tensor \"%.128s\"", item->string);
            goto fail;
        }
        entry.tensor.name = mem_strdup(item->string);
        ARRAY_PUSH(entries, entry);
        ARRAY_PUSH(&ranges, range);
    }
    size_t count = entries->count - first;
    if (count) qsort(entries->items + first, count, sizeof *entries->items, hf_entry_compare);
    for (size_t i = first + 1; i < entries->count; i++) {
        const char *name = entries->items[i].tensor.name;
        if (strcmp(name, entries->items[i - 1].tensor.name) == 0) {
            err_user("tensor \"%.128s\" is there twice", name);
            goto fail;
        }
    }
    if (!check_tiling(&ranges, data_size)) goto fail;
    ARRAY_FREE(&ranges);
    return true;
fail:
    ARRAY_FREE(&ranges);
    return false;
}

static cJSON *parse_header(const struct file_map *map, uint64_t *length)
{
    *length = 0;
    if (map->size < 8) {
        err_user("%zu bytes are too few for a safetensors file; it is cut short or of another kind",
                 map->size);
        return NULL;
    }
    for (int i = 7; i >= 0; i--)
        *length = *length << 8 | map->data[i];
    if (*length > MAX_HEADER || *length > map->size - 8) {
        err_user("its header claims %llu bytes in a file of %zu; it is cut short or no safetensors "
                 "file",
                 (unsigned long long)*length, map->size);
        return NULL;
    }
    if (*length == 0 || map->data[8] != '{') {
        err_user("its header does not begin with '{'; it is damaged or no safetensors file");
        return NULL;
    }
    cJSON *header = json_parse((const char *)map->data + 8, (size_t)*length, "header");
    if (header && !cJSON_IsObject(header)) {
        cJSON_Delete(header);
        header = NULL;
        err_user("its header is not a JSON object");
    }
    return header;
}

bool hf_file_open(struct file_map *map, const char *path, struct hf_entries *entries,
                  struct hf_pairs *metadata)
{
    uint64_t length;
    if (!file_map_open(map, path)) return false;
    cJSON *header = parse_header(map, &length);
    bool ok = header && read_header(header, path, map->data + 8 + length,
                                    (uint64_t)map->size - 8 - length, entries, metadata);
    cJSON_Delete(header);
    return ok || err_context("%s", path);
}
