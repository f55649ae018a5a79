#include "model/weights.h"

#include "base/array.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "vk/sequence.h"

#include <math.h>
#include <string.h>

// Floats converted at a time between file and device.
#define CHUNK ((uint64_t)1 << 21)

uint32_t model_storage_bytes(enum model_storage storage)
{
    return storage == MODEL_BF16 ? 2 : 4;
}

enum op_type model_storage_type(enum model_storage storage)
{
    return storage == MODEL_F32 ? OP_F32 : OP_BF16;
}

static vk_addr address_in(const struct model_weights *w, const struct vk_arena *arena,
                          uint64_t offset)
{
    uint64_t span = w->layout->span_elements;
    return arena->spans[offset / span].addr + offset % span * op_type_bytes(w->type);
}

static vk_addr address(const struct model_weights *w, uint64_t offset)
{
    return offset == MODEL_ABSENT ? 0 : address_in(w, &w->arena, offset);
}

static struct model_linear linear(const struct model_weights *w, uint64_t matrix, uint64_t bias,
                                  uint32_t in, uint32_t out)
{
    return (struct model_linear){address(w, matrix), address(w, bias), in, out, w->type};
}

uint64_t model_weights_bytes(const struct model_layout *layout, enum model_storage storage)
{
    return layout->elements * model_storage_bytes(storage);
}

static void set_addresses(struct model_weights *w)
{
    const struct model_layout *layout = w->layout;
    const struct model_config *c = &layout->config;
    w->embed = address(w, layout->embed);
    w->final_norm = address(w, layout->final_norm);
    w->head = address(w, layout->head);
    w->layers = MEM_ARRAY(struct model_layer, c->layers);
    for (uint32_t i = 0; i < c->layers; i++) {
        const struct model_layer_offsets *o = &layout->layers[i];
        w->layers[i] = (struct model_layer){
            .attention_norm = address(w, o->attention_norm),
            .mlp_norm = address(w, o->mlp_norm),
            .type = w->type,
            .qkv = linear(w, o->qkv, o->qkv_bias, c->channels, model_qkv_cols(c)),
            .out = linear(w, o->out, o->out_bias, c->heads * c->head_dim, c->channels),
            .gate_up = linear(w, o->gate_up, o->gate_up_bias, c->channels, 2 * c->ffn),
            .down = linear(w, o->down, o->down_bias, c->ffn, c->channels),
        };
    }
}

static bool init_arena(const struct model_weights *w, struct vk_arena *arena,
                       struct vk_device *device, const char *name)
{
    uint64_t element = op_type_bytes(w->type);
    if (!vk_arena_init(arena, device,
                       &(struct vk_arena_params){
                           .name = name,
                           .bytes = w->layout->elements * element,
                           .span_bytes = w->layout->span_elements * element,
                       }))
        return false;
    arena->used = arena->peak = w->layout->elements * element; // the layout has placed everything
    return true;
}

static void begin(struct model_weights *w, const struct model_layout *layout,
                  enum model_storage storage)
{
    *w = (struct model_weights){
        .storage = storage, .type = model_storage_type(storage), .layout = layout};
}

bool model_weights_init(struct model_weights *w, struct vk_device *device,
                        const struct model_layout *layout, enum model_storage storage,
                        const char *name)
{
    begin(w, layout, storage);
    if (!init_arena(w, &w->arena, device, name) ||
        (storage == MODEL_MASTER && !init_arena(w, &w->lower, device, name)))
        return false;
    set_addresses(w);
    return true;
}

bool model_weights_init_within(struct model_weights *w, const struct model_weights *of,
                               enum model_storage storage)
{
    CHECK(of->storage == MODEL_F32);
    begin(w, of->layout, storage);
    uint64_t share = op_type_bytes(w->type);
    if (!vk_arena_init_within(&w->arena, &of->arena, 4, 0, share) ||
        (storage == MODEL_MASTER && !vk_arena_init_within(&w->lower, &of->arena, 4, 2, 2)))
        return false;
    set_addresses(w);
    return true;
}

void model_weights_finish(struct model_weights *w)
{
    vk_arena_finish(&w->arena);
    vk_arena_finish(&w->lower);
    mem_free(w->layers);
    *w = (struct model_weights){0};
}

// ---- values ----

// `count` values from element `offset` on, of one span; as many as one tensor has.
static bool put(const struct model_weights *w, uint64_t offset, const float *values, uint64_t count)
{
    struct vk_device *d = w->arena.device;
    vk_addr at = address(w, offset);
    if (w->storage == MODEL_F32) return vk_write(d, at, values, count * sizeof(float));
    uint16_t *upper = MEM_ARRAY(uint16_t, count), *lower = NULL;
    if (w->storage == MODEL_BF16) {
        dtype_encode(upper, values, DTYPE_BF16, count);
    } else {
        lower = MEM_ARRAY(uint16_t, count);
        for (uint64_t i = 0; i < count; i++) { // as shaders/arena_types.glsl has it
            uint32_t bits;
            memcpy(&bits, &values[i], sizeof bits);
            upper[i] = (uint16_t)((bits + 0x8000u) >> 16);
            lower[i] = (uint16_t)bits;
        }
    }
    bool ok = vk_write(d, at, upper, count * 2) &&
              (!lower || vk_write(d, address_in(w, &w->lower, offset), lower, count * 2));
    mem_free(upper);
    mem_free(lower);
    return ok;
}

static bool get(const struct model_weights *w, uint64_t offset, float *values, uint64_t count)
{
    struct vk_device *d = w->arena.device;
    vk_addr at = address(w, offset);
    if (w->storage == MODEL_F32) return vk_read(d, at, values, count * sizeof(float));
    bool master = w->storage == MODEL_MASTER;
    uint16_t *upper = MEM_ARRAY(uint16_t, count);
    uint16_t *lower = master ? MEM_ARRAY(uint16_t, count) : NULL;
    bool ok = vk_read(d, at, upper, count * 2) &&
              (!master || vk_read(d, address_in(w, &w->lower, offset), lower, count * 2));
    for (uint64_t i = 0; ok && i < count; i++) {
        uint32_t bits = (uint32_t)upper[i] << 16;
        if (master) bits += (uint32_t)(int32_t)(int16_t)lower[i];
        memcpy(&values[i], &bits, sizeof bits);
    }
    mem_free(upper);
    mem_free(lower);
    return ok;
}

// ---- files ----

static bool check_finite(const struct hf_tensor *source, const float *values, uint64_t count,
                         uint64_t first)
{
    for (uint64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return err_user(
                "%s: tensor '%s' holds %s at element %llu: the weights are damaged, get "
                "the model again",
                source->file, source->name, isnan(values[i]) ? "NaN" : "infinity",
                (unsigned long long)(first + i));
    return true;
}

static bool check_shape(const struct model_tensor *t, const struct hf_tensor *source)
{
    bool same = source->dims == t->dims;
    for (int d = 0; same && d < t->dims; d++)
        same = source->shape[d] == t->shape[d];
    if (same) return true;
    struct str have = {0}, want = {0};
    for (int d = 0; d < source->dims; d++)
        str_appendf(&have, "%s%lld", d ? ", " : "", (long long)source->shape[d]);
    for (int d = 0; d < t->dims; d++)
        str_appendf(&want, "%s%lld", d ? ", " : "", (long long)t->shape[d]);
    err_user("%s: tensor '%s' has shape [%s], but config.json asks for [%s]: the two files do not "
             "belong together",
             source->file, t->name, str_text(&have), str_text(&want));
    str_finish(&have);
    str_finish(&want);
    return false;
}

static bool load_tensor(struct model_weights *w, const struct model_tensor *t,
                        const struct hf_tensor *source, float *chunk)
{
    if (source->dtype == DTYPE_U8)
        return err_user(
            "%s: tensor '%s' is of U8, codes of a quantised model: get the model in F32, "
            "F16 or BF16",
            source->file, source->name);
    if (!check_shape(t, source)) return false;
    size_t element = dtype_size(source->dtype);
    for (uint64_t first = 0; first < t->count; first += CHUNK) {
        uint64_t count = t->count - first < CHUNK ? t->count - first : CHUNK;
        dtype_decode(chunk, (const char *)source->data + first * element, source->dtype, count);
        if (!check_finite(source, chunk, count, first)) return false;
        if (!put(w, t->offset + first, chunk, count)) return false;
    }
    return true;
}

// Tensors that old exporters stored and that carry nothing, or that tying makes redundant.
static bool is_redundant(const struct model_layout *layout, const char *name)
{
    if (layout->config.tied_head && strcmp(name, "lm_head.weight") == 0) return true;
    return str_ends_with(name, ".rotary_emb.inv_freq");
}

static void warn_unknown(const struct model_layout *layout, const struct hf_tensors *file)
{
    size_t unknown = 0;
    const char *first = NULL;
    for (size_t i = 0; i < hf_tensors_count(file); i++) {
        const char *name = hf_tensors_at(file, i)->name;
        if (model_layout_find(layout, name) || is_redundant(layout, name)) continue;
        if (!unknown++) first = name;
    }
    if (unknown)
        log_warn("%s holds %zu tensor%s that the model does not have ('%s'%s): ignored",
                 hf_tensors_path(file), unknown, unknown == 1 ? "" : "s", first,
                 unknown == 1 ? "" : ", ...");
}

bool model_weights_load(struct model_weights *w, const char *path, const char *prefix)
{
    struct hf_tensors *file = hf_tensors_open(path);
    if (!file) return false;
    float *chunk = MEM_ARRAY(float, CHUNK);
    bool ok = true;
    for (size_t i = 0; ok && i < w->layout->tensor_count; i++) {
        const struct model_tensor *t = &w->layout->tensors[i];
        char *name = str_format("%s%s", prefix, t->name);
        const struct hf_tensor *source = hf_tensors_find(file, name);
        ok = source ? load_tensor(w, t, source, chunk)
                    : err_user("%s: tensor '%s' is missing (config.json asks for it)",
                               hf_tensors_path(file), name);
        mem_free(name);
    }
    if (ok && !*prefix) warn_unknown(w->layout, file);
    mem_free(chunk);
    hf_tensors_close(file);
    return ok;
}

static bool save_tensor(const struct model_weights *w, const struct model_tensor *t,
                        struct hf_writer *writer, float *chunk)
{
    for (uint64_t first = 0; first < t->count; first += CHUNK) {
        uint64_t count = t->count - first < CHUNK ? t->count - first : CHUNK;
        if (!get(w, t->offset + first, chunk, count) || !hf_writer_put(writer, chunk, count))
            return false;
    }
    return true;
}

static struct hf_writer *create_file(const struct model_weights_part *parts, size_t count,
                                     const char *path, enum dtype dtype,
                                     const char *const *metadata)
{
    struct decl_array ARRAY_OF(struct hf_tensor_decl) decls = {0};
    for (size_t p = 0; p < count; p++) {
        const struct model_layout *layout = parts[p].weights->layout;
        for (size_t i = 0; i < layout->tensor_count; i++) {
            const struct model_tensor *t = &layout->tensors[i];
            ARRAY_PUSH(&decls,
                       (struct hf_tensor_decl){.name = str_format("%s%s", parts[p].prefix, t->name),
                                               .dtype = dtype,
                                               .dims = t->dims,
                                               .shape = {t->shape[0], t->shape[1]}});
        }
    }
    struct hf_writer *writer = hf_writer_create(path, decls.items, decls.count, metadata);
    for (size_t i = 0; i < decls.count; i++)
        mem_free((void *)(uintptr_t)decls.items[i].name);
    ARRAY_FREE(&decls);
    return writer;
}

bool model_weights_save(const struct model_weights_part *parts, size_t count, const char *path,
                        enum dtype dtype, const char *const *metadata)
{
    struct hf_writer *writer = create_file(parts, count, path, dtype, metadata);
    if (!writer) return false;
    float *chunk = MEM_ARRAY(float, CHUNK);
    bool ok = true;
    for (size_t p = 0; ok && p < count; p++) {
        const struct model_weights *w = parts[p].weights;
        for (size_t i = 0; ok && i < w->layout->tensor_count; i++)
            ok = save_tensor(w, &w->layout->tensors[i], writer, chunk);
    }
    mem_free(chunk);
    if (!ok) {
        hf_writer_abort(writer);
        return false;
    }
    return hf_writer_commit(writer);
}

bool model_weights_randomize(struct model_weights *w, uint64_t seed)
{
    float deviation = w->layout->config.initializer_range;
    bool ok = true;
    for (size_t i = 0; ok && i < w->layout->tensor_count; i++) {
        const struct model_tensor *t = &w->layout->tensors[i];
        float *values = MEM_ARRAY(float, t->count);
        struct rng rng = rng_begin(seed, RNG_INIT + ((uint64_t)i << 32));
        for (uint64_t j = 0; j < t->count; j++)
            values[j] = t->role == MODEL_NORM   ? 1.0f
                        : t->role == MODEL_BIAS ? 0.0f
                                                : deviation * (float)rng_normal(&rng);
        ok = model_weights_write(w, t, values);
        mem_free(values);
    }
    return ok;
}

struct copy_arenas {
    const struct model_weights *to, *from;
};

static void copy_spans(struct vk_seq *s, const struct vk_arena *to, const struct vk_arena *from)
{
    for (uint32_t i = 0; i < to->span_count; i++) {
        uint64_t bytes = to->spans[i].bytes, have = from->spans[i].bytes;
        vk_copy(s, to->spans[i].addr, from->spans[i].addr, bytes < have ? bytes : have);
    }
}

static void record_copy(struct vk_seq *s, void *ctx)
{
    const struct copy_arenas *c = ctx;
    copy_spans(s, &c->to->arena, &c->from->arena);
    copy_spans(s, &c->to->lower, &c->from->lower);
}

bool model_weights_copy(struct model_weights *to, const struct model_weights *from)
{
    CHECK(to->layout->elements == from->layout->elements && to->storage == from->storage &&
          to->arena.span_count == from->arena.span_count);
    struct copy_arenas c = {to, from};
    return vk_run_once(to->arena.device, "copy weights", record_copy, &c);
}

bool model_weights_read(const struct model_weights *w, const struct model_tensor *t, float *values)
{
    return get(w, t->offset, values, t->count);
}

bool model_weights_write(struct model_weights *w, const struct model_tensor *t, const float *values)
{
    return put(w, t->offset, values, t->count);
}

struct op_arena model_weights_op(const struct model_weights *w)
{
    if (w->storage == MODEL_F32) return op_arena_of(&w->arena);
    return op_half_arena_of(&w->arena, w->storage == MODEL_MASTER ? &w->lower : NULL);
}
