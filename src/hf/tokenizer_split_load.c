// The "pre_tokenizer" section of tokenizer.json.
#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "hf/tokenizer_split.h"

#include <string.h>

#define MAX_STAGES 64
#define GPT2_PATTERN                                                                               \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

static bool push_split(struct hf_stages *stages, struct hf_regex *regex,
                       enum hf_split_behavior behavior, bool invert)
{
    struct hf_stage stage = {
        .kind = HF_STAGE_SPLIT, .regex = regex, .behavior = behavior, .invert = invert};
    if (!regex) return false;
    ARRAY_PUSH(stages, stage);
    return true;
}

static void push_text(struct hf_stages *stages, enum hf_stage_kind kind, const char *prefix,
                      bool first_only)
{
    struct hf_stage stage = {.kind = kind, .first_only = first_only};
    if (prefix) stage.prefix = mem_strdup(prefix);
    ARRAY_PUSH(stages, stage);
}

static bool read_behavior(const cJSON *json, enum hf_split_behavior *behavior)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const char *name = NULL;
    if (!json_get_string(json, "behavior", &name)) return false;
    if (!name) return err_user("behavior: missing");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *behavior = (enum hf_split_behavior)i;
        return true;
    }
    return err_user("behavior: \"%.64s\" is not supported; supported: Removed, Isolated, "
                    "MergedWithPrevious, MergedWithNext, Contiguous",
                    name);
}

static bool load_byte_level(struct hf_stages *stages, const cJSON *json)
{
    bool prefix = true, use_regex = true; // the library's defaults
    if (!json_get_bool(json, "add_prefix_space", &prefix) ||
        !json_get_bool(json, "use_regex", &use_regex))
        return false;
    if (prefix) push_text(stages, HF_STAGE_PREFIX, " ", false);
    if (use_regex && !push_split(stages, hf_regex_compile(GPT2_PATTERN), HF_SPLIT_ISOLATED, false))
        return false;
    push_text(stages, HF_STAGE_MAP_BYTES, NULL, false);
    return true;
}

static bool load_split(struct hf_stages *stages, const cJSON *json)
{
    enum hf_split_behavior behavior = HF_SPLIT_ISOLATED;
    bool invert = false;
    if (!read_behavior(json, &behavior) || !json_get_bool(json, "invert", &invert)) return false;
    struct hf_regex *regex = hf_regex_load(json_get(json, "pattern"));
    if (!regex) return err_context("pattern");
    return push_split(stages, regex, behavior, invert);
}

static bool load_digits(struct hf_stages *stages, const cJSON *json)
{
    bool individual = false;
    if (!json_get_bool(json, "individual_digits", &individual)) return false;
    return push_split(stages, hf_regex_compile("\\p{N}"),
                      individual ? HF_SPLIT_ISOLATED : HF_SPLIT_CONTIGUOUS, false);
}

static bool load_punctuation(struct hf_stages *stages, const cJSON *json)
{
    enum hf_split_behavior behavior = HF_SPLIT_ISOLATED;
    if (json_get(json, "behavior") && !read_behavior(json, &behavior)) return false;
    return push_split(stages, hf_regex_compile("[\\p{P}$+<=>^`|~]"), behavior, false);
}

static bool load_whitespace(struct hf_stages *stages, const cJSON *json)
{
    (void)json;
    return push_split(stages, hf_regex_compile("\\s"), HF_SPLIT_REMOVED, false);
}

static bool load_metaspace(struct hf_stages *stages, const cJSON *json)
{
    const char *replacement = "\xe2\x96\x81", *scheme = "always";
    bool split = true, prefix = true;
    if (!json_get_string(json, "replacement", &replacement) ||
        !json_get_string(json, "prepend_scheme", &scheme) ||
        !json_get_bool(json, "add_prefix_space", &prefix) || // the older spelling
        !json_get_bool(json, "split", &split))
        return false;
    if (!*replacement) return err_user("replacement: is empty");
    if (!prefix) scheme = "never";
    bool first = strcmp(scheme, "first") == 0, never = strcmp(scheme, "never") == 0;
    if (!first && !never && strcmp(scheme, "always") != 0)
        return err_user("prepend_scheme: \"%.64s\" is not supported; supported: always, first, "
                        "never",
                        scheme);
    push_text(stages, HF_STAGE_REPLACE, replacement, false);
    if (!never) push_text(stages, HF_STAGE_PREFIX, replacement, first);
    return !split ||
           push_split(stages, hf_regex_compile_literal(replacement), HF_SPLIT_MERGED_NEXT, false);
}

static bool load_any(struct hf_stages *stages, const cJSON *json);

static bool load_sequence(struct hf_stages *stages, const cJSON *json)
{
    const cJSON *list = json_get(json, "pretokenizers");
    size_t index = 0;
    if (!cJSON_IsArray(list)) return err_user("pretokenizers: expected a list");
    for (const cJSON *item = list->child; item; item = item->next, index++)
        if (!load_any(stages, item)) return err_context("pretokenizers[%zu]", index);
    return true;
}

static bool load_any(struct hf_stages *stages, const cJSON *json)
{
    static const struct {
        const char *name;
        bool (*load)(struct hf_stages *stages, const cJSON *json);
    } kinds[] = {
        {"ByteLevel", load_byte_level},       {"Digits", load_digits},
        {"Metaspace", load_metaspace},        {"Punctuation", load_punctuation},
        {"Sequence", load_sequence},          {"Split", load_split},
        {"WhitespaceSplit", load_whitespace},
    };
    const char *type = NULL;
    if (!cJSON_IsObject(json)) return err_user("expected an object");
    if (!json_get_string(json, "type", &type)) return false;
    if (!type) return err_user("type: missing");
    if (stages->count > MAX_STAGES) return err_user("more than %d steps", MAX_STAGES);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type, kinds[i].name) == 0) return kinds[i].load(stages, json);
    return err_user("type: \"%.64s\" is not supported; supported: ByteLevel, Digits, Metaspace, "
                    "Punctuation, Sequence, Split, WhitespaceSplit",
                    type);
}

bool hf_stages_load(struct hf_stages *stages, const cJSON *json)
{
    return !json || load_any(stages, json);
}

void hf_stages_finish(struct hf_stages *stages)
{
    for (size_t i = 0; i < stages->count; i++) {
        hf_regex_destroy(stages->items[i].regex);
        mem_free(stages->items[i].prefix);
    }
    ARRAY_FREE(stages);
}
