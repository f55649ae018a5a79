#include "hf/tokenizer_post.h"

#include "base/error.h"
#include "base/json.h"

#include <string.h>

#define MAX_TEMPLATE_IDS 1024

static bool read_known_id(const struct hf_vocab *vocab, const cJSON *item, int32_t *id)
{
    if (!hf_read_id(item, id)) return false;
    return hf_vocab_has(vocab, *id) || err_user("no token has id %d", (int)*id);
}

// The ids of a special token of the template, as its "special_tokens" gives them.
static bool push_special(struct hf_ids *ids, const struct hf_vocab *vocab, const cJSON *specials,
                         const char *name)
{
    const cJSON *special = cJSON_IsObject(specials) ? json_get(specials, name) : NULL;
    const cJSON *list = cJSON_IsObject(special) ? json_get(special, "ids") : NULL;
    int32_t id;
    if (!cJSON_IsArray(list)) return err_user("special_tokens: no ids for \"%.64s\"", name);
    for (const cJSON *item = list->child; item; item = item->next) {
        if (!read_known_id(vocab, item, &id)) return err_context("special_tokens: \"%.64s\"", name);
        if (ids->count >= MAX_TEMPLATE_IDS)
            return err_user("a template of more than %d ids", MAX_TEMPLATE_IDS);
        ARRAY_PUSH(ids, id);
    }
    return true;
}

// The library would take what one template makes for a pair of texts in the next.
static bool take_turn(struct hf_post *post)
{
    if (post->taken) return err_user("more than one template in a sequence is not supported");
    post->taken = true;
    return true;
}

static bool load_template(struct hf_post *post, const struct hf_vocab *vocab, const cJSON *json)
{
    const cJSON *single = json_get(json, "single"), *specials = json_get(json, "special_tokens");
    bool text_seen = false;
    if (!take_turn(post)) return false;
    if (!cJSON_IsArray(single)) return err_user("single: expected a list");
    for (const cJSON *item = single->child; item; item = item->next) {
        const cJSON *sequence = json_get(item, "Sequence"), *token = json_get(item, "SpecialToken");
        const cJSON *piece = sequence ? sequence : token;
        const char *id = NULL;
        if (!cJSON_IsObject(piece))
            return err_user("single: expected pieces \"SpecialToken\" or \"Sequence\"");
        if (!json_get_string(piece, "id", &id)) return err_context("single");
        if (!id) return err_user("single: id: missing");
        if (sequence) {
            if (strcmp(id, "A") != 0 || text_seen)
                return err_user("single: the text must stand in it once, as sequence \"A\"");
            text_seen = true;
        } else if (!push_special(text_seen ? &post->after : &post->before, vocab, specials, id)) {
            return false;
        }
    }
    return text_seen || err_user("single: the text, sequence \"A\", is missing");
}

// BertProcessing and RobertaProcessing: [text, id] of the tokens before and after.
static bool load_cls_sep(struct hf_post *post, const struct hf_vocab *vocab, const cJSON *json)
{
    static const char *const keys[2] = {"cls", "sep"};
    int32_t ids[2];
    if (!take_turn(post)) return false;
    for (int i = 0; i < 2; i++) {
        const cJSON *pair = json_get(json, keys[i]);
        const cJSON *text = cJSON_IsArray(pair) ? pair->child : NULL;
        if (!text || !text->next) return err_user("%s: expected a token and its id", keys[i]);
        if (!read_known_id(vocab, text->next, &ids[i])) return err_context("%s", keys[i]);
    }
    ARRAY_PUSH(&post->before, ids[0]);
    ARRAY_PUSH(&post->after, ids[1]);
    return true;
}

// It changes offsets only, which we do not keep.
static bool load_byte_level(struct hf_post *post, const struct hf_vocab *vocab, const cJSON *json)
{
    (void)post;
    (void)vocab;
    (void)json;
    return true;
}

static bool load_sequence(struct hf_post *post, const struct hf_vocab *vocab, const cJSON *json)
{
    const cJSON *list = json_get(json, "processors");
    size_t index = 0;
    if (!cJSON_IsArray(list)) return err_user("processors: expected a list");
    for (const cJSON *item = list->child; item; item = item->next, index++)
        if (!hf_post_load(post, vocab, item)) return err_context("processors[%zu]", index);
    return true;
}

bool hf_post_load(struct hf_post *post, const struct hf_vocab *vocab, const cJSON *json)
{
    static const struct {
        const char *name;
        bool (*load)(struct hf_post *post, const struct hf_vocab *vocab, const cJSON *json);
    } kinds[] = {
        {"BertProcessing", load_cls_sep},      {"ByteLevel", load_byte_level},
        {"RobertaProcessing", load_cls_sep},   {"Sequence", load_sequence},
        {"TemplateProcessing", load_template},
    };
    const char *type = NULL;
    if (!json) return true;
    if (!cJSON_IsObject(json)) return err_user("expected an object");
    if (!json_get_string(json, "type", &type)) return false;
    if (!type) return err_user("type: missing");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type, kinds[i].name) == 0) return kinds[i].load(post, vocab, json);
    return err_user("type: \"%.64s\" is not supported; supported: BertProcessing, ByteLevel, "
                    "RobertaProcessing, Sequence, TemplateProcessing",
                    type);
}

void hf_post_finish(struct hf_post *post)
{
    ARRAY_FREE(&post->before);
    ARRAY_FREE(&post->after);
}
