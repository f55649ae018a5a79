#include "hf/config.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "hf/config_rope.h"

#include <string.h>

// Bounds that no model of the family comes near, and with which every product of sizes below fits
// in 64 bits and every row size in 32.
#define MAX_VOCAB (1 << 24)
#define MAX_WIDTH (1 << 18)
#define MAX_LAYERS 1024
#define MAX_HEADS 1024
#define MAX_HEAD_DIM 1024
#define MAX_POSITION (1 << 24)
#define MAX_PARAMETERS 1000000000000ll

#define SUPPORTED "supported: model_type \"llama\" (Llama 2 and 3, TinyLlama, SmolLM2)"

static bool check_family(const cJSON *json)
{
    const char *type = NULL;
    const cJSON *architectures = json_get(json, "architectures");
    const cJSON *first = cJSON_IsArray(architectures) ? architectures->child : NULL;
    if (!json_get_string(json, "model_type", &type)) return false;
    if (type && strcmp(type, "llama") != 0)
        return err_user("model_type: \"%.64s\" is not supported; " SUPPORTED, type);
    if (architectures && !cJSON_IsString(first))
        return err_user("architectures: expected a list of strings");
    if (!type && !first) return err_user("model_type: missing; " SUPPORTED);
    for (; first; first = first->next) {
        if (!cJSON_IsString(first)) return err_user("architectures: expected a list of strings");
        if (strcmp(first->valuestring, "LlamaForCausalLM") != 0)
            return err_user("architectures: \"%.64s\" is not supported; supported: "
                            "LlamaForCausalLM",
                            first->valuestring);
    }
    return true;
}

// Reads a size; with *out preset to 0 it must be there.
static bool read_size(const cJSON *json, const char *key, int64_t max, int *out)
{
    int64_t value = *out;
    bool given = json_get(json, key) != NULL;
    if (!json_get_int(json, key, &value)) return false;
    if (!given && value == 0) return err_user("%s: missing", key);
    if (value < 1 || value > max)
        return err_user("%s: %lld is out of range 1 to %lld", key, (long long)value,
                        (long long)max);
    *out = (int)value;
    return true;
}

static bool read_positive(const cJSON *json, const char *key, double max, double *out)
{
    if (!json_get_double(json, key, out)) return false;
    if (!(*out > 0 && *out <= max))
        return err_user("%s: %g is out of range; expected above 0 and at most %g", key, *out, max);
    return true;
}

static bool read_sizes(struct hf_config *c, const cJSON *json)
{
    if (!read_size(json, "vocab_size", MAX_VOCAB, &c->vocab_size) ||
        !read_size(json, "hidden_size", MAX_WIDTH, &c->hidden_size) ||
        !read_size(json, "intermediate_size", MAX_WIDTH, &c->intermediate_size) ||
        !read_size(json, "num_hidden_layers", MAX_LAYERS, &c->layers) ||
        !read_size(json, "num_attention_heads", MAX_HEADS, &c->heads))
        return false;
    c->kv_heads = c->heads;
    c->max_position = 2048; // transformers' default
    if (!read_size(json, "num_key_value_heads", MAX_HEADS, &c->kv_heads) ||
        !read_size(json, "max_position_embeddings", MAX_POSITION, &c->max_position))
        return false;
    if (c->heads % c->kv_heads != 0)
        return err_user("num_attention_heads: %d is not a multiple of num_key_value_heads, %d",
                        c->heads, c->kv_heads);
    if (!json_get(json, "head_dim") && c->hidden_size % c->heads != 0)
        return err_user(
            "hidden_size: %d is not a multiple of num_attention_heads, %d, and there is "
            "no head_dim",
            c->hidden_size, c->heads);
    c->head_dim = c->hidden_size / c->heads;
    if (!read_size(json, "head_dim", MAX_HEAD_DIM, &c->head_dim)) return false;
    if (c->head_dim % 2 != 0)
        return err_user("head_dim: %d is odd; rotary positions turn pairs of channels",
                        c->head_dim);
    return true;
}

// With the bounds above no term comes near 2^63.
static bool check_parameters(const struct hf_config *c)
{
    int64_t hidden = c->hidden_size, q = (int64_t)c->heads * c->head_dim;
    int64_t kv = (int64_t)c->kv_heads * c->head_dim;
    int64_t layer = hidden * (2 * q + 2 * kv) + 3 * hidden * c->intermediate_size + 2 * hidden;
    int64_t total = c->layers * layer + (c->tied_head ? 1 : 2) * hidden * c->vocab_size;
    if (total > MAX_PARAMETERS)
        return err_user("the sizes make a model of %lld parameters; at most %lld are supported",
                        (long long)total, MAX_PARAMETERS);
    return true;
}

// Settings that change the arithmetic and are not implemented.
static bool refuse_settings(const cJSON *json)
{
    const char *activation = "silu";
    int64_t parallel = 1;
    double partial = 1, dropout = 0;
    const cJSON *kinds = json_get(json, "layer_types");
    if (!json_get_string(json, "hidden_act", &activation) ||
        !json_get_int(json, "pretraining_tp", &parallel) ||
        !json_get_double(json, "partial_rotary_factor", &partial) ||
        !json_get_double(json, "attention_dropout", &dropout))
        return false;
    if (strcmp(activation, "silu") != 0)
        return err_user("hidden_act: \"%.64s\" is not implemented; supported: \"silu\"",
                        activation);
    if (parallel > 1)
        return err_user("pretraining_tp: %lld is not implemented; supported: 1",
                        (long long)parallel);
    if (partial != 1)
        return err_user("partial_rotary_factor: %g is not implemented; supported: 1", partial);
    if (json_get(json, "quantization_config"))
        return err_user("quantization_config: quantised weights are not supported; use the model's "
                        "F32, F16 or BF16 files");
    if (json_get(json, "sliding_window"))
        return err_user("sliding_window: attention over a window is not implemented");
    if (kinds && !cJSON_IsArray(kinds)) return err_user("layer_types: expected a list");
    for (const cJSON *kind = kinds ? kinds->child : NULL; kind; kind = kind->next)
        if (!cJSON_IsString(kind) || strcmp(kind->valuestring, "full_attention") != 0)
            return err_user("layer_types: only \"full_attention\" is implemented");
    if (dropout < 0 || dropout >= 1)
        return err_user("attention_dropout: %g is out of range 0 to 1", dropout);
    if (dropout > 0)
        log_warn("config.json: attention_dropout %g is not applied; training runs without dropout",
                 dropout);
    return true;
}

static bool read_dtype(struct hf_config *c, const cJSON *json)
{
    static const struct {
        const char *name;
        enum dtype dtype;
    } names[] = {{"float32", DTYPE_F32}, {"float16", DTYPE_F16}, {"bfloat16", DTYPE_BF16}};
    const char *key = json_get(json, "dtype") ? "dtype" : "torch_dtype";
    const char *name = "float32";
    if (!json_get_string(json, key, &name)) return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i].name) != 0) continue;
        c->dtype = names[i].dtype;
        return true;
    }
    return err_user("%s: \"%.32s\" is not supported; supported: float32, float16, bfloat16", key,
                    name);
}

static bool check_id(const struct hf_config *c, const char *key, const cJSON *item, int *id)
{
    double value = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (!(value >= 0 && value < c->vocab_size) || value != (double)(int)value)
        return err_user("%s: expected a token id of 0 to %d", key, c->vocab_size - 1);
    *id = (int)value;
    return true;
}

// An id or a list of ids; absent leaves what is there.
static bool read_eos(struct hf_config *c, const cJSON *json)
{
    const cJSON *item = json_get(json, "eos_token_id");
    const int room = (int)(sizeof c->eos / sizeof *c->eos);
    if (!item) return true;
    c->eos_count = 0;
    if (!cJSON_IsArray(item)) {
        if (!check_id(c, "eos_token_id", item, &c->eos[0])) return false;
        c->eos_count = 1;
        return true;
    }
    for (item = item->child; item; item = item->next) {
        if (c->eos_count == room) return err_user("eos_token_id: more than %d ids", room);
        if (!check_id(c, "eos_token_id", item, &c->eos[c->eos_count])) return false;
        c->eos_count++;
    }
    return true;
}

static bool read_all(struct hf_config *c, const cJSON *json)
{
    *c = (struct hf_config){.norm_eps = 1e-6, .initializer_range = 0.02, .bos = -1};
    if (!cJSON_IsObject(json)) return err_user("expected a JSON object");
    const cJSON *bos = json_get(json, "bos_token_id");
    return check_family(json) && read_sizes(c, json) && refuse_settings(json) &&
           read_positive(json, "rms_norm_eps", 1, &c->norm_eps) &&
           read_positive(json, "initializer_range", 10, &c->initializer_range) &&
           json_get_bool(json, "tie_word_embeddings", &c->tied_head) &&
           json_get_bool(json, "attention_bias", &c->attention_bias) &&
           json_get_bool(json, "mlp_bias", &c->mlp_bias) && check_parameters(c) &&
           hf_config_read_rope(&c->rope, json) && read_dtype(c, json) &&
           (!bos || check_id(c, "bos_token_id", bos, &c->bos)) && read_eos(c, json);
}

// The end tokens of generation_config.json, if there is such a file and it names any.
static bool merge_generation(struct hf_config *c, const char *path)
{
    if (!file_exists(path)) return true;
    cJSON *json = json_parse_file(path, 0);
    if (!json) return false;
    bool ok = cJSON_IsObject(json) ? read_eos(c, json) : err_user("expected a JSON object");
    if (!ok) err_context("%s", path);
    cJSON_Delete(json);
    return ok;
}

// The folder of a file: what is before its last '/', "." if there is none.
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return mem_strdup(".");
    return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

bool hf_config_load(struct hf_config *config, const char *path)
{
    char *dir = file_is_dir(path) ? mem_strdup(path) : folder_of(path);
    char *file = file_is_dir(path) ? file_join(path, "config.json") : mem_strdup(path);
    char *generation = file_join(dir, "generation_config.json");
    cJSON *json = json_parse_file(file, 0);
    bool ok = false;
    if (json) ok = read_all(config, json) || err_context("%s", file);
    ok = ok && merge_generation(config, generation);
    cJSON_Delete(json);
    mem_free(generation);
    mem_free(file);
    mem_free(dir);
    return ok;
}
