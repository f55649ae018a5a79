#include "hf/config_rope.h"

#include "base/error.h"
#include "base/json.h"

#include <string.h>

// Reads a member that must be there, within a range.
static bool read_factor(const cJSON *obj, const char *key, double min, double max, double *out)
{
    if (!json_get(obj, key)) return err_user("%s: missing", key);
    if (!json_get_double(obj, key, out)) return false;
    if (!(*out >= min && *out <= max))
        return err_user("%s: %g is out of range %g to %g", key, *out, min, max);
    return true;
}

static bool read_theta(const cJSON *obj, double *theta)
{
    if (!json_get_double(obj, "rope_theta", theta)) return false;
    if (!(*theta >= 1 && *theta <= 1e15))
        return err_user("rope_theta: %g is out of range 1 to 1e15", *theta);
    return true;
}

static bool read_llama3(struct hf_rope *rope, const cJSON *obj, const cJSON *json)
{
    const char *key = "original_max_position_embeddings";
    const cJSON *holder = json_get(obj, key) ? obj : json; // some files have it at the top
    int64_t original = 0;
    if (!read_factor(obj, "factor", 1, 1e6, &rope->factor) ||
        !read_factor(obj, "low_freq_factor", 1e-6, 1e6, &rope->low_freq_factor) ||
        !read_factor(obj, "high_freq_factor", 1e-6, 1e6, &rope->high_freq_factor) ||
        !json_get_int(holder, key, &original))
        return false;
    if (rope->high_freq_factor <= rope->low_freq_factor)
        return err_user("high_freq_factor: %g must be greater than low_freq_factor, %g",
                        rope->high_freq_factor, rope->low_freq_factor);
    if (!json_get(holder, key)) return err_user("%s: missing", key);
    if (original < 1 || original > 1 << 24)
        return err_user("%s: %lld is out of range 1 to %d", key, (long long)original, 1 << 24);
    rope->original_max_position = (int)original;
    return true;
}

// One object of settings; `rope` comes with the theta to use where the object has none.
static bool read_object(struct hf_rope *rope, const cJSON *obj, const cJSON *json)
{
    const char *type = "default";
    double partial = 1;
    if (!cJSON_IsObject(obj)) return err_user("expected an object");
    for (const cJSON *m = obj->child; m; m = m->next)
        if (cJSON_IsObject(m))
            return err_user("%.64s: settings by kind of layer are not implemented", m->string);
    if (!json_get_string(obj, "type", &type) || !json_get_string(obj, "rope_type", &type) ||
        !json_get_double(obj, "partial_rotary_factor", &partial) || !read_theta(obj, &rope->theta))
        return false;
    if (partial != 1)
        return err_user("partial_rotary_factor: %g is not implemented; supported: 1", partial);
    if (strcmp(type, "default") == 0) {
        rope->type = HF_ROPE_DEFAULT;
        return true;
    }
    if (strcmp(type, "linear") == 0) {
        rope->type = HF_ROPE_LINEAR;
        return read_factor(obj, "factor", 1, 1e6, &rope->factor);
    }
    if (strcmp(type, "llama3") == 0) {
        rope->type = HF_ROPE_LLAMA3;
        return read_llama3(rope, obj, json);
    }
    return err_user("rope_type: \"%.64s\" is not implemented; supported: default, linear, llama3",
                    type);
}

static bool same_rope(const struct hf_rope *a, const struct hf_rope *b)
{
    return a->type == b->type && a->theta == b->theta && a->factor == b->factor &&
           a->low_freq_factor == b->low_freq_factor && a->high_freq_factor == b->high_freq_factor &&
           a->original_max_position == b->original_max_position;
}

bool hf_config_read_rope(struct hf_rope *rope, const cJSON *json)
{
    const cJSON *old = json_get(json, "rope_scaling"), *new = json_get(json, "rope_parameters");
    struct hf_rope start = {.type = HF_ROPE_DEFAULT, .theta = 10000}; // transformers' default
    if (!read_theta(json, &start.theta)) return false;
    struct hf_rope from_old = start, from_new = start;
    if (old && !read_object(&from_old, old, json)) return err_context("rope_scaling");
    if (new && !read_object(&from_new, new, json)) return err_context("rope_parameters");
    if (old && new && !same_rope(&from_old, &from_new))
        return err_user("rope_scaling and rope_parameters differ; keep one of them");
    *rope = old && !new ? from_old : from_new;
    return true;
}
