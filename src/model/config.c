#include "model/config.h"

#include <math.h>

struct model_config model_config_from_hf(const struct hf_config *hf)
{
    return (struct model_config){
        .vocab = (uint32_t)hf->vocab_size,
        .channels = (uint32_t)hf->hidden_size,
        .ffn = (uint32_t)hf->intermediate_size,
        .layers = (uint32_t)hf->layers,
        .heads = (uint32_t)hf->heads,
        .kv_heads = (uint32_t)hf->kv_heads,
        .head_dim = (uint32_t)hf->head_dim,
        .norm_eps = (float)hf->norm_eps,
        .tied_head = hf->tied_head,
        .attention_bias = hf->attention_bias,
        .mlp_bias = hf->mlp_bias,
        .max_position = (uint32_t)hf->max_position,
        .rope = hf->rope,
        .initializer_range = (float)hf->initializer_range,
    };
}

uint32_t model_qkv_cols(const struct model_config *c)
{
    return (c->heads + 2 * c->kv_heads) * c->head_dim;
}

// Llama 3's rule: long wavelengths are stretched by `factor`, short ones kept, those between
// blended.
static float llama3_frequency(const struct hf_rope *rope, float frequency)
{
    double wavelength = 2.0 * 3.14159265358979323846 / (double)frequency;
    double low = rope->original_max_position / rope->low_freq_factor;
    double high = rope->original_max_position / rope->high_freq_factor;
    if (wavelength > low) return (float)((double)frequency / rope->factor);
    if (wavelength < high) return frequency;
    double smooth = (rope->original_max_position / wavelength - rope->low_freq_factor) /
                    (rope->high_freq_factor - rope->low_freq_factor);
    return (float)((1.0 - smooth) * (double)frequency / rope->factor + smooth * (double)frequency);
}

void model_rope_table(const struct model_config *c, uint32_t positions, float *table)
{
    uint32_t half = c->head_dim / 2;
    for (uint32_t i = 0; i < half; i++) {
        float exponent = (float)(2 * i) / (float)c->head_dim;
        float frequency = 1.0f / (float)pow(c->rope.theta, (double)exponent);
        if (c->rope.type == HF_ROPE_LLAMA3) frequency = llama3_frequency(&c->rope, frequency);
        if (c->rope.type == HF_ROPE_LINEAR) frequency /= (float)c->rope.factor;
        for (uint32_t p = 0; p < positions; p++) {
            float angle =
                (float)p * frequency; // rounded to single precision, as the weights expect
            table[2 * ((uint64_t)p * half + i)] = (float)cos((double)angle);
            table[2 * ((uint64_t)p * half + i) + 1] = (float)sin((double)angle);
        }
    }
}

double model_forward_flops(const struct model_config *c, double tokens, double scored)
{
    double per_layer = (double)c->channels * model_qkv_cols(c) +
                       (double)c->channels * c->heads * c->head_dim +
                       3.0 * (double)c->channels * c->ffn;
    return 2.0 * (tokens * per_layer * c->layers + scored * (double)c->channels * c->vocab);
}
