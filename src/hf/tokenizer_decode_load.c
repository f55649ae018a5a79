// The "decoder" section of tokenizer.json.
#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "hf/tokenizer_decode.h"

#include <string.h>

#define MAX_STEPS 64
#define MAX_STRIP 1024

static bool load_replace(struct hf_decoder *d, const cJSON *json)
{
    const char *from = NULL, *to = NULL;
    const cJSON *pattern = json_get(json, "pattern");
    if (!cJSON_IsObject(pattern)) return err_user("pattern: expected an object");
    if (!json_get_string(pattern, "String", &from)) return err_context("pattern");
    if (!from || !*from) return err_user("pattern: only {\"String\": ...} is supported");
    if (!json_get_string(json, "content", &to)) return false;
    if (!to) return err_user("content: missing");
    d->from = mem_strdup(from);
    d->to = mem_strdup(to);
    return true;
}

static bool read_strip(const cJSON *json, const char *key, int64_t *out)
{
    if (!json_get_int(json, key, out)) return false;
    return (*out >= 0 && *out <= MAX_STRIP) ||
           err_user("%s: %lld is out of range 0 to %d", key, (long long)*out, MAX_STRIP);
}

static bool load_strip(struct hf_decoder *d, const cJSON *json)
{
    const char *content = NULL;
    if (!json_get_string(json, "content", &content) || !read_strip(json, "start", &d->start) ||
        !read_strip(json, "stop", &d->stop))
        return false;
    if (!content || !*content) return err_user("content: missing or empty");
    d->from = mem_strdup(content);
    return true;
}

static bool load_metaspace(struct hf_decoder *d, const cJSON *json)
{
    const char *replacement = "\xe2\x96\x81", *scheme = "always";
    bool prefix = true;
    if (!json_get_string(json, "replacement", &replacement) ||
        !json_get_string(json, "prepend_scheme", &scheme) ||
        !json_get_bool(json, "add_prefix_space", &prefix))
        return false;
    if (!*replacement) return err_user("replacement: is empty");
    d->drop_first = prefix && strcmp(scheme, "never") != 0;
    d->from = mem_strdup(replacement);
    d->to = mem_strdup(" ");
    return true;
}

static bool load_any(struct hf_decoders *decoders, const cJSON *json);

static bool load_sequence(struct hf_decoders *decoders, const cJSON *json)
{
    const cJSON *list = json_get(json, "decoders");
    size_t index = 0;
    if (!cJSON_IsArray(list)) return err_user("decoders: expected a list");
    for (const cJSON *item = list->child; item; item = item->next, index++)
        if (!load_any(decoders, item)) return err_context("decoders[%zu]", index);
    return true;
}

static bool load_any(struct hf_decoders *decoders, const cJSON *json)
{
    static const struct {
        const char *name;
        enum hf_decoder_kind kind;
        bool (*load)(struct hf_decoder *d, const cJSON *json);
    } kinds[] = {
        {"ByteFallback", HF_DECODE_BYTE_FALLBACK, NULL},
        {"ByteLevel", HF_DECODE_BYTE_LEVEL, NULL},
        {"Fuse", HF_DECODE_FUSE, NULL},
        {"Metaspace", HF_DECODE_METASPACE, load_metaspace},
        {"Replace", HF_DECODE_REPLACE, load_replace},
        {"Strip", HF_DECODE_STRIP, load_strip},
    };
    const char *type = NULL;
    if (!cJSON_IsObject(json)) return err_user("expected an object");
    if (!json_get_string(json, "type", &type)) return false;
    if (!type) return err_user("type: missing");
    if (decoders->list.count > MAX_STEPS) return err_user("more than %d steps", MAX_STEPS);
    if (strcmp(type, "Sequence") == 0) return load_sequence(decoders, json);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(type, kinds[i].name) != 0) continue;
        struct hf_decoder d = {.kind = kinds[i].kind};
        if (kinds[i].load && !kinds[i].load(&d, json)) return false;
        ARRAY_PUSH(&decoders->list, d);
        return true;
    }
    return err_user("type: \"%.64s\" is not supported; supported: ByteFallback, ByteLevel, Fuse, "
                    "Metaspace, Replace, Sequence, Strip",
                    type);
}

bool hf_decoders_load(struct hf_decoders *decoders, const cJSON *json)
{
    decoders->spaces = json == NULL;
    return !json || load_any(decoders, json);
}

void hf_decoders_finish(struct hf_decoders *decoders)
{
    for (size_t i = 0; i < decoders->list.count; i++) {
        mem_free(decoders->list.items[i].from);
        mem_free(decoders->list.items[i].to);
    }
    ARRAY_FREE(&decoders->list);
}
