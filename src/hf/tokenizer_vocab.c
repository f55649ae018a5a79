#include "hf/tokenizer_vocab.h"

#include "base/error.h"
#include "base/mem.h"

#include <string.h>

// FNV-1a with a last mixing step, so that the low bits depend on every byte.
static uint64_t hash_text(const char *text, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)text[i]) * 0x100000001b3u;
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

// The slot that holds the text, or the free slot where it belongs.
static uint32_t *find_slot(const struct hf_vocab *v, const char *text, size_t len)
{
    size_t mask = v->slot_count - 1;
    for (size_t i = (size_t)hash_text(text, len) & mask;; i = (i + 1) & mask) {
        if (!v->slots[i]) return &v->slots[i];
        const struct hf_token *token = &v->tokens[v->slots[i] - 1];
        if (token->len == len && (!len || memcmp(v->text.data + token->offset, text, len) == 0))
            return &v->slots[i];
    }
}

static void grow_slots(struct hf_vocab *v)
{
    uint32_t *old = v->slots;
    size_t old_count = v->slot_count;
    v->slot_count = old_count ? old_count * 2 : 1024;
    v->slots = MEM_ARRAY(uint32_t, v->slot_count);
    for (size_t i = 0; i < old_count; i++) {
        if (!old[i]) continue;
        const struct hf_token *token = &v->tokens[old[i] - 1];
        *find_slot(v, v->text.data + token->offset, token->len) = old[i];
    }
    mem_free(old);
}

static void grow_tokens(struct hf_vocab *v, size_t count)
{
    if (count > v->capacity) {
        size_t capacity = v->capacity ? v->capacity * 2 : 1024;
        if (capacity < count) capacity = count;
        v->tokens = mem_realloc(v->tokens, capacity, sizeof *v->tokens);
        memset(v->tokens + v->capacity, 0, (capacity - v->capacity) * sizeof *v->tokens);
        v->capacity = capacity;
    }
    if (count > v->id_count) v->id_count = count;
}

bool hf_vocab_add(struct hf_vocab *v, const char *text, size_t len, int32_t id, unsigned flags)
{
    CHECK(id >= 0 && id < HF_MAX_IDS && flags);
    if (hf_vocab_has(v, id)) {
        size_t old_len;
        const char *old = hf_vocab_text(v, id, &old_len);
        return err_user("id %d is given to two tokens, \"%.*s\" and \"%.*s\"", (int)id,
                        (int)(old_len < 64 ? old_len : 64), old, (int)(len < 64 ? len : 64), text);
    }
    if (v->used * 2 >= v->slot_count) grow_slots(v);
    if (*find_slot(v, text, len))
        return err_user("token \"%.*s\" is there twice", (int)(len < 64 ? len : 64), text);
    if (v->text.len + len > UINT32_MAX) return err_user("the token texts exceed 4 GiB");
    grow_tokens(v, (size_t)id + 1);
    v->tokens[id] = (struct hf_token){(uint32_t)v->text.len, (uint32_t)len, flags};
    str_append_bytes(&v->text, text, len);
    *find_slot(v, text, len) = (uint32_t)id + 1;
    v->used++;
    return true;
}

void hf_vocab_finish(struct hf_vocab *v)
{
    str_finish(&v->text);
    mem_free(v->tokens);
    mem_free(v->slots);
    *v = (struct hf_vocab){0};
}

int32_t hf_vocab_find(const struct hf_vocab *v, const char *text, size_t len)
{
    if (!v->slot_count) return -1;
    return (int32_t)*find_slot(v, text, len) - 1;
}

bool hf_vocab_has(const struct hf_vocab *v, int64_t id)
{
    return id >= 0 && (uint64_t)id < v->id_count && v->tokens[id].flags;
}

const char *hf_vocab_text(const struct hf_vocab *v, int32_t id, size_t *len)
{
    CHECK(hf_vocab_has(v, id));
    *len = v->tokens[id].len;
    return str_text(&v->text) + v->tokens[id].offset;
}

bool hf_read_id(const cJSON *item, int32_t *id)
{
    double value = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (!(value >= 0 && value < HF_MAX_IDS) || value != (double)(int32_t)value)
        return err_user("expected an id of 0 to %d", HF_MAX_IDS - 1);
    *id = (int32_t)value;
    return true;
}

bool hf_vocab_load(struct hf_vocab *v, const cJSON *object)
{
    if (!cJSON_IsObject(object)) return err_user("expected an object of tokens and ids");
    for (const cJSON *item = object->child; item; item = item->next) {
        int32_t id;
        if (!hf_read_id(item, &id)) return err_context("\"%.64s\"", item->string);
        if (!hf_vocab_add(v, item->string, strlen(item->string), id, HF_TOKEN_MODEL)) return false;
    }
    if (!v->used) return err_user("it holds no tokens");
    return true;
}
