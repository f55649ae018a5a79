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

static vk_addr address(const struct model_weights *w, uint64_t offset)
{
    if (offset == MODEL_ABSENT) return 0;
    uint64_t span = w->layout->span_elements;
    return w->arena.spans[offset / span].addr + offset % span * sizeof(float);
}

static struct model_linear linear(const struct model_weights *w, uint64_t matrix, uint64_t bias,
                                  uint32_t in, uint32_t out)
{
    return (struct model_linear){address(w, matrix), address(w, bias), in, out};
}

uint64_t model_weights_bytes(const struct model_layout *layout)
{
    return layout->elements * sizeof(float);
}

bool model_weights_init(struct model_weights *w, struct vk_device *device,
                        const struct model_layout *layout, const char *name)
{
    *w = (struct model_weights){.layout = layout};
    if (!vk_arena_init(&w->arena, device,
                       &(struct vk_arena_params){
                           .name = name,
                           .bytes = model_weights_bytes(layout),
                           .span_bytes = layout->span_elements * sizeof(float),
                       }))
        return false;
    w->arena.used = w->arena.peak = model_weights_bytes(layout); // the layout has placed everything
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
            .qkv = linear(w, o->qkv, o->qkv_bias, c->channels, model_qkv_cols(c)),
            .out = linear(w, o->out, o->out_bias, c->heads * c->head_dim, c->channels),
            .gate_up = linear(w, o->gate_up, o->gate_up_bias, c->channels, 2 * c->ffn),
            .down = linear(w, o->down, o->down_bias, c->ffn, c->channels),
        };
    }
    return true;
}

void model_weights_finish(struct model_weights *w)
{
    vk_arena_finish(&w->arena);
    mem_free(w->layers);
    *w = (struct model_weights){0};
}

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
        if (!vk_write(w->arena.device, address(w, t->offset + first), chunk, count * sizeof(float)))
            return false;
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
        if (!vk_read(w->arena.device, address(w, t->offset + first), chunk,
                     count * sizeof(float)) ||
            !hf_writer_put(writer, chunk, count))
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

static void record_copy(struct vk_seq *s, void *ctx)
{
    const struct copy_arenas *c = ctx;
    for (uint32_t i = 0; i < c->to->arena.span_count; i++)
        vk_copy(s, c->to->arena.spans[i].addr, c->from->arena.spans[i].addr,
                c->to->arena.spans[i].bytes);
}

bool model_weights_copy(struct model_weights *to, const struct model_weights *from)
{
    CHECK(to->layout->elements == from->layout->elements &&
          to->arena.span_count == from->arena.span_count);
    struct copy_arenas c = {to, from};
    return vk_run_once(to->arena.device, "copy weights", record_copy, &c);
}

bool model_weights_read(const struct model_weights *w, const struct model_tensor *t, float *values)
{
    return vk_read(w->arena.device, address(w, t->offset), values, t->count * sizeof(float));
}

bool model_weights_write(struct model_weights *w, const struct model_tensor *t, const float *values)
{
    return vk_write(w->arena.device, address(w, t->offset), values, t->count * sizeof(float));
}
