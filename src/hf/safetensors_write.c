#include "hf/safetensors.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

#define CHUNK 16384 // floats encoded at a time
#define DATA_ALIGN 64

struct hf_writer {
    struct file_writer file;
    struct {
        enum dtype dtype;
        uint64_t count;
    } * tensors;
    size_t count, current;
    uint64_t done; // floats of the current tensor
    uint8_t *chunk;
};

// Elements of a declared tensor; its shape is the program's own.
static uint64_t decl_count(const struct hf_tensor_decl *d)
{
    uint64_t count = 1;
    CHECK(d->dims >= 0 && d->dims <= HF_MAX_DIMS);
    for (int i = 0; i < d->dims; i++) {
        CHECK(d->shape[i] >= 0 &&
              (d->shape[i] == 0 || count <= UINT64_MAX / 8 / (uint64_t)d->shape[i]));
        count *= (uint64_t)d->shape[i];
    }
    return count;
}

static void append_metadata(struct str *header, const char *const *metadata)
{
    str_append(header, "\"__metadata__\":{");
    for (size_t i = 0; metadata[i]; i += 2) {
        CHECK(metadata[i + 1]);
        if (i) str_append_char(header, ',');
        json_append_string(header, metadata[i], strlen(metadata[i]));
        str_append_char(header, ':');
        json_append_string(header, metadata[i + 1], strlen(metadata[i + 1]));
    }
    str_append_char(header, '}');
}

// Appends the tensor's entry; its data begins at *offset, which moves to its end.
static void append_tensor(struct str *header, const struct hf_tensor_decl *d, uint64_t *offset)
{
    uint64_t end = *offset + decl_count(d) * dtype_size(d->dtype);
    CHECK(end >= *offset);
    json_append_string(header, d->name, strlen(d->name));
    str_appendf(header, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(d->dtype));
    for (int k = 0; k < d->dims; k++)
        str_appendf(header, "%s%lld", k ? "," : "", (long long)d->shape[k]);
    str_appendf(header, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)*offset,
                (unsigned long long)end);
    *offset = end;
}

static bool write_header(struct hf_writer *w, const struct hf_tensor_decl *tensors, size_t count,
                         const char *const *metadata)
{
    struct str header = {0};
    uint64_t offset = 0;
    uint8_t length[8];
    str_append_char(&header, '{');
    if (metadata && metadata[0]) append_metadata(&header, metadata);
    for (size_t i = 0; i < count; i++) {
        if (header.len > 1) str_append_char(&header, ',');
        append_tensor(&header, &tensors[i], &offset);
    }
    str_append_char(&header, '}');
    while ((8 + header.len) % DATA_ALIGN)
        str_append_char(&header, ' ');
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)header.len >> 8 * i);
    bool ok = file_write(&w->file, length, sizeof length) &&
              file_write(&w->file, header.data, header.len);
    str_finish(&header);
    return ok;
}

// Moves past the tensors that have all their data.
static void skip_full(struct hf_writer *w)
{
    while (w->current < w->count && w->done == w->tensors[w->current].count) {
        w->current++;
        w->done = 0;
    }
}

static void destroy(struct hf_writer *w)
{
    mem_free(w->tensors);
    mem_free(w->chunk);
    mem_free(w);
}

struct hf_writer *hf_writer_create(const char *path, const struct hf_tensor_decl *tensors,
                                   size_t count, const char *const *metadata)
{
    struct hf_writer *w = MEM_NEW(struct hf_writer);
    w->count = count;
    w->tensors = mem_calloc(count ? count : 1, sizeof *w->tensors);
    w->chunk = MEM_ARRAY(uint8_t, CHUNK * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        w->tensors[i].dtype = tensors[i].dtype;
        w->tensors[i].count = decl_count(&tensors[i]);
    }
    skip_full(w);
    if (!file_create(&w->file, path)) goto fail;
    if (!write_header(w, tensors, count, metadata)) {
        err_context("%s", path);
        goto fail;
    }
    return w;
fail:
    hf_writer_abort(w);
    return NULL;
}

bool hf_writer_put(struct hf_writer *w, const float *values, size_t count)
{
    while (count) {
        CHECK(w->current < w->count); // more data than was declared
        enum dtype dtype = w->tensors[w->current].dtype;
        uint64_t room = w->tensors[w->current].count - w->done;
        size_t n = count < CHUNK ? count : CHUNK;
        CHECK(count <= room); // a call stays within one tensor
        dtype_encode(w->chunk, values, dtype, n);
        if (!file_write(&w->file, w->chunk, n * dtype_size(dtype))) return false;
        values += n;
        count -= n;
        w->done += n;
        skip_full(w);
    }
    return true;
}

bool hf_writer_commit(struct hf_writer *w)
{
    bool ok = w->current == w->count;
    if (ok)
        ok = file_commit(&w->file);
    else
        err_device("%s: not written: %zu of %zu tensors have no data", w->file.path,
                   w->count - w->current, w->count);
    if (!ok) file_abort(&w->file);
    destroy(w);
    return ok;
}

void hf_writer_abort(struct hf_writer *w)
{
    if (!w) return;
    file_abort(&w->file);
    destroy(w);
}
