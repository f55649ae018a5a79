#include "model/layout.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

// One tensor of a group: rows x cols, or a vector if cols is 0.
struct part {
    const char *name; // after the layer's prefix
    uint32_t rows, cols;
};

struct builder {
    struct model_layout *layout;
    size_t capacity;
    uint64_t end; // elements placed so far
};

static uint64_t part_count(const struct part *part)
{
    return (uint64_t)part->rows * (part->cols ? part->cols : 1);
}

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

static void add_tensor(struct builder *b, const char *prefix, const struct part *part,
                       enum model_role role, uint64_t offset)
{
    struct model_layout *l = b->layout;
    if (l->tensor_count == b->capacity) {
        b->capacity = b->capacity ? b->capacity * 2 : 64;
        l->tensors = mem_realloc(l->tensors, b->capacity, sizeof *l->tensors);
    }
    l->tensors[l->tensor_count++] = (struct model_tensor){
        .name = str_format("%s%s", prefix, part->name),
        .role = role,
        .dims = part->cols ? 2 : 1,
        .shape = {part->rows, part->cols},
        .offset = offset,
        .count = part_count(part),
    };
    l->parameters += part_count(part);
}

// Places parts one after the other as one group and returns its offset.
static uint64_t place(struct builder *b, const char *prefix, enum model_role role,
                      const struct part *parts, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += part_count(&parts[i]);
    uint64_t span = b->layout->span_elements;
    uint64_t first = b->end;
    if (first / span != (first + size - 1) / span) first = round_up(first, span);
    uint64_t at = first;
    for (size_t i = 0; i < count; i++) {
        add_tensor(b, prefix, &parts[i], role, at);
        at += part_count(&parts[i]);
    }
    b->end = round_up(at, 256);
    return first;
}

static void place_layer(struct builder *b, uint32_t index)
{
    const struct model_config *c = &b->layout->config;
    struct model_layer_offsets *o = &b->layout->layers[index];
    uint32_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    uint32_t C = c->channels, F = c->ffn;
    char *prefix = str_format("model.layers.%u.", index);

#define PLACE(role, ...)                                                                           \
    place(b, prefix, role, (const struct part[]){__VA_ARGS__},                                     \
          sizeof((const struct part[]){__VA_ARGS__}) / sizeof(struct part))
    o->attention_norm = PLACE(MODEL_NORM, {"input_layernorm.weight", C, 0});
    o->qkv = PLACE(MODEL_MATRIX, {"self_attn.q_proj.weight", q, C},
                   {"self_attn.k_proj.weight", kv, C}, {"self_attn.v_proj.weight", kv, C});
    o->out = PLACE(MODEL_MATRIX, {"self_attn.o_proj.weight", C, q});
    o->qkv_bias = o->out_bias = o->gate_up_bias = o->down_bias = MODEL_ABSENT;
    if (c->attention_bias) {
        o->qkv_bias = PLACE(MODEL_BIAS, {"self_attn.q_proj.bias", q, 0},
                            {"self_attn.k_proj.bias", kv, 0}, {"self_attn.v_proj.bias", kv, 0});
        o->out_bias = PLACE(MODEL_BIAS, {"self_attn.o_proj.bias", C, 0});
    }
    o->mlp_norm = PLACE(MODEL_NORM, {"post_attention_layernorm.weight", C, 0});
    o->gate_up = PLACE(MODEL_MATRIX, {"mlp.gate_proj.weight", F, C}, {"mlp.up_proj.weight", F, C});
    o->down = PLACE(MODEL_MATRIX, {"mlp.down_proj.weight", C, F});
    if (c->mlp_bias) {
        o->gate_up_bias =
            PLACE(MODEL_BIAS, {"mlp.gate_proj.bias", F, 0}, {"mlp.up_proj.bias", F, 0});
        o->down_bias = PLACE(MODEL_BIAS, {"mlp.down_proj.bias", C, 0});
    }
    mem_free(prefix);
#undef PLACE
}

static uint64_t largest_group(const struct model_config *c)
{
    uint64_t C = c->channels, largest = (uint64_t)c->vocab * C;
    uint64_t qkv = model_qkv_cols(c) * C, gate_up = 2 * (uint64_t)c->ffn * C;
    uint64_t out = (uint64_t)c->heads * c->head_dim * C;
    if (qkv > largest) largest = qkv;
    if (gate_up > largest) largest = gate_up;
    return out > largest ? out : largest;
}

bool model_layout_init(struct model_layout *layout, const struct model_config *config,
                       uint64_t max_span_bytes)
{
    *layout = (struct model_layout){.config = *config, .span_elements = 1u << 28};
    uint64_t largest = largest_group(config);
    while (layout->span_elements < largest)
        layout->span_elements *= 2;
    if (max_span_bytes) {
        while (layout->span_elements * 4 > max_span_bytes && layout->span_elements / 2 >= largest)
            layout->span_elements /= 2;
        if (layout->span_elements * 4 > max_span_bytes) {
            char need[32], have[32];
            return err_user("the largest matrix of the model needs an allocation of %s, but the "
                            "device allows at most %s: choose another device or a smaller model",
                            str_bytes(need, layout->span_elements * 4),
                            str_bytes(have, max_span_bytes));
        }
    }
    struct builder b = {.layout = layout};
    layout->layers = MEM_ARRAY(struct model_layer_offsets, config->layers);
    struct part embed = {"model.embed_tokens.weight", config->vocab, config->channels};
    struct part norm = {"model.norm.weight", config->channels, 0};
    struct part head = {"lm_head.weight", config->vocab, config->channels};
    layout->embed = place(&b, "", MODEL_EMBEDDING, &embed, 1);
    for (uint32_t i = 0; i < config->layers; i++)
        place_layer(&b, i);
    layout->final_norm = place(&b, "", MODEL_NORM, &norm, 1);
    layout->head = config->tied_head ? layout->embed : place(&b, "", MODEL_MATRIX, &head, 1);
    layout->elements = b.end;
    return true;
}

void model_layout_finish(struct model_layout *layout)
{
    for (size_t i = 0; i < layout->tensor_count; i++)
        mem_free(layout->tensors[i].name);
    mem_free(layout->tensors);
    mem_free(layout->layers);
    *layout = (struct model_layout){0};
}

const struct model_tensor *model_layout_find(const struct model_layout *layout, const char *name)
{
    for (size_t i = 0; i < layout->tensor_count; i++)
        if (strcmp(layout->tensors[i].name, name) == 0) return &layout->tensors[i];
    return NULL;
}
