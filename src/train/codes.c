#include "train/codes.h"

#include "../shaders/args.h"
#include "base/array.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "hf/safetensors.h"
#include "ops/update.h"

#include <math.h>

// Elements carried at a time between file and device.
#define CHUNK ((uint64_t)1 << 21)
#define BLOCK 256u
#define SCALES "scales"

static const char *const prefixes[] = {"exp_avg.", "exp_avg_sq."};

static uint64_t scale_bytes(const struct model_layout *layout)
{
    return layout->elements / BLOCK * OP_ADAMW_8BIT_SCALE_BYTES;
}

uint64_t train_codes_bytes(const struct model_layout *layout)
{
    return 2 * layout->elements + scale_bytes(layout);
}

static bool init_arena(struct vk_arena *arena, struct vk_device *device, const char *name,
                       uint64_t bytes, uint64_t span_bytes)
{
    if (!vk_arena_init(
            arena, device,
            &(struct vk_arena_params){.name = name, .bytes = bytes, .span_bytes = span_bytes}))
        return false;
    arena->used = arena->peak = bytes; // the layout has placed everything
    return true;
}

bool train_codes_init(struct train_codes *codes, struct vk_device *device,
                      const struct model_layout *layout)
{
    uint64_t span = (uint64_t)1 << 30;
    *codes = (struct train_codes){.layout = layout};
    while (span < scale_bytes(layout))
        span *= 2;
    if (!init_arena(&codes->m, device, "first moment", layout->elements, layout->span_elements) ||
        !init_arena(&codes->v, device, "second moment", layout->elements, layout->span_elements) ||
        !init_arena(&codes->scales, device, "scales of the moments", scale_bytes(layout), span))
        return false;
    codes->scales_at = codes->scales.spans[0].addr;
    return true;
}

void train_codes_finish(struct train_codes *codes)
{
    vk_arena_finish(&codes->m);
    vk_arena_finish(&codes->v);
    vk_arena_finish(&codes->scales);
    *codes = (struct train_codes){0};
}

static const struct vk_arena *arena_of(const struct train_codes *codes, int moment)
{
    return moment == 0 ? &codes->m : &codes->v;
}

static vk_addr address(const struct train_codes *codes, int moment, uint64_t offset)
{
    uint64_t span = codes->layout->span_elements;
    return arena_of(codes, moment)->spans[offset / span].addr + offset % span;
}

// ---- writing ----

static struct hf_writer *create_file(const struct train_codes *codes, const char *path)
{
    static const char *const metadata[] = {"optim", "adamw_8bit", NULL};
    const struct model_layout *layout = codes->layout;
    struct decl_array ARRAY_OF(struct hf_tensor_decl) decls = {0};
    for (int moment = 0; moment < 2; moment++)
        for (size_t i = 0; i < layout->tensor_count; i++) {
            const struct model_tensor *t = &layout->tensors[i];
            ARRAY_PUSH(&decls, (struct hf_tensor_decl){
                                   .name = str_format("%s%s", prefixes[moment], t->name),
                                   .dtype = DTYPE_U8,
                                   .dims = t->dims,
                                   .shape = {t->shape[0], t->shape[1]}});
        }
    ARRAY_PUSH(&decls, (struct hf_tensor_decl){.name = mem_strdup(SCALES),
                                               .dtype = DTYPE_F32,
                                               .dims = 2,
                                               .shape = {(int64_t)(layout->elements / BLOCK), 2}});
    struct hf_writer *writer = hf_writer_create(path, decls.items, decls.count, metadata);
    for (size_t i = 0; i < decls.count; i++)
        mem_free((void *)(uintptr_t)decls.items[i].name);
    ARRAY_FREE(&decls);
    return writer;
}

static bool save_tensor(const struct train_codes *codes, int moment, const struct model_tensor *t,
                        struct hf_writer *writer, uint8_t *bytes, float *values)
{
    for (uint64_t first = 0; first < t->count; first += CHUNK) {
        uint64_t count = t->count - first < CHUNK ? t->count - first : CHUNK;
        if (!vk_read(codes->m.device, address(codes, moment, t->offset + first), bytes, count))
            return false;
        dtype_decode(values, bytes, DTYPE_U8, count);
        if (!hf_writer_put(writer, values, count)) return false;
    }
    return true;
}

static bool save_scales(const struct train_codes *codes, struct hf_writer *writer, float *values)
{
    uint64_t floats = scale_bytes(codes->layout) / sizeof(float);
    for (uint64_t first = 0; first < floats; first += CHUNK) {
        uint64_t count = floats - first < CHUNK ? floats - first : CHUNK;
        if (!vk_read(codes->m.device, codes->scales_at + first * sizeof(float), values,
                     count * sizeof(float)) ||
            !hf_writer_put(writer, values, count))
            return false;
    }
    return true;
}

bool train_codes_save(const struct train_codes *codes, const char *path)
{
    struct hf_writer *writer = create_file(codes, path);
    if (!writer) return false;
    uint8_t *bytes = MEM_ARRAY(uint8_t, CHUNK);
    float *values = MEM_ARRAY(float, CHUNK);
    bool ok = true;
    for (int moment = 0; ok && moment < 2; moment++)
        for (size_t i = 0; ok && i < codes->layout->tensor_count; i++)
            ok = save_tensor(codes, moment, &codes->layout->tensors[i], writer, bytes, values);
    ok = ok && save_scales(codes, writer, values);
    mem_free(bytes);
    mem_free(values);
    if (!ok) {
        hf_writer_abort(writer);
        return false;
    }
    return hf_writer_commit(writer);
}

// ---- reading ----

static const struct hf_tensor *find(const struct hf_tensors *file, const char *name,
                                    enum dtype dtype, int dims, const int64_t *shape)
{
    const struct hf_tensor *t = hf_tensors_find(file, name);
    bool same = t && t->dtype == dtype && t->dims == dims;
    for (int d = 0; same && d < dims; d++)
        same = t->shape[d] == shape[d];
    if (same) return t;
    err_user("%s: tensor '%s' is %s: the checkpoint is damaged or of another model",
             hf_tensors_path(file), name, t ? "of another shape or type" : "missing");
    return NULL;
}

static bool load_tensor(struct train_codes *codes, int moment, const struct model_tensor *t,
                        const struct hf_tensors *file)
{
    char *name = str_format("%s%s", prefixes[moment], t->name);
    const struct hf_tensor *source = find(file, name, DTYPE_U8, t->dims, t->shape);
    const uint8_t *bytes = source ? source->data : NULL;
    bool ok = source != NULL;
    for (uint64_t i = 0; ok && moment == 0 && i < t->count; i++)
        if (bytes[i] == 128) // -128 is no code of m
            ok = err_user("%s: tensor '%s' holds what is no code at element %llu: the checkpoint "
                          "is damaged",
                          hf_tensors_path(file), name, (unsigned long long)i);
    mem_free(name);
    return ok && vk_write(codes->m.device, address(codes, moment, t->offset), bytes, t->count);
}

static bool load_scales(struct train_codes *codes, const struct hf_tensors *file)
{
    const int64_t shape[] = {(int64_t)(codes->layout->elements / BLOCK), 2};
    const struct hf_tensor *source = find(file, SCALES, DTYPE_F32, 2, shape);
    if (!source) return false;
    float *values = MEM_ARRAY(float, source->count);
    dtype_decode(values, source->data, DTYPE_F32, source->count);
    bool ok = true;
    for (uint64_t i = 0; ok && i < source->count; i++)
        if (!isfinite(values[i]) || values[i] < 0 || (i % 2 && values[i] > ADAMW_8BIT_LARGEST_ROOT))
            ok = err_user("%s: tensor '" SCALES "' holds %g at element %llu: the checkpoint is "
                          "damaged",
                          hf_tensors_path(file), (double)values[i], (unsigned long long)i);
    ok = ok && vk_write(codes->m.device, codes->scales_at, values, source->count * sizeof *values);
    mem_free(values);
    return ok;
}

bool train_codes_load(struct train_codes *codes, const char *path)
{
    struct hf_tensors *file = hf_tensors_open(path);
    if (!file) return false;
    bool ok = true;
    for (int moment = 0; ok && moment < 2; moment++)
        for (size_t i = 0; ok && i < codes->layout->tensor_count; i++)
            ok = load_tensor(codes, moment, &codes->layout->tensors[i], file);
    ok = ok && load_scales(codes, file);
    hf_tensors_close(file);
    return ok;
}

bool train_codes_check_kind(const struct model_layout *layout, const char *path, bool coded)
{
    struct hf_tensors *file = hf_tensors_open(path);
    if (!file) return false;
    char *name = str_format("%s%s", prefixes[0], layout->tensors[0].name);
    const struct hf_tensor *t = hf_tensors_find(file, name);
    bool ok = !t || (t->dtype == DTYPE_U8) == coded; // a missing one is told by who reads it
    if (!ok)
        err_user("%s: the checkpoint holds AdamW's moments in %s, but optim is %s: go on with "
                 "optim: %s, as the run began",
                 path, coded ? "fp32" : "8 bits", coded ? "adamw_8bit" : "adamw",
                 coded ? "adamw" : "adamw_8bit");
    mem_free(name);
    hf_tensors_close(file);
    return ok;
}
