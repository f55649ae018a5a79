// The "model" section of tokenizer.json.
#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "hf/tokenizer_bpe.h"

#include <stdio.h>
#include <string.h>

static int32_t find_model_token(const struct hf_vocab *vocab, const char *text, size_t len)
{
    int32_t id = hf_vocab_find(vocab, text, len);
    return id >= 0 && vocab->tokens[id].flags & HF_TOKEN_MODEL ? id : -1;
}

// Both halves of a merge: "left right", or a list of the two.
static bool split_merge(const cJSON *item, const char *half[2], size_t len[2])
{
    if (cJSON_IsArray(item)) {
        const cJSON *left = item->child, *right = left ? left->next : NULL;
        if (!cJSON_IsString(left) || !cJSON_IsString(right) || right->next)
            return err_user("expected a list of two strings");
        half[0] = left->valuestring;
        half[1] = right->valuestring;
        len[0] = strlen(half[0]);
        len[1] = strlen(half[1]);
        return true;
    }
    const char *text = cJSON_IsString(item) ? item->valuestring : NULL;
    const char *space = text ? strchr(text, ' ') : NULL;
    if (!space || strchr(space + 1, ' '))
        return err_user("expected \"left right\" with one space, or a list of two strings");
    half[0] = text;
    half[1] = space + 1;
    len[0] = (size_t)(space - text);
    len[1] = strlen(half[1]);
    return true;
}

static bool read_merge(const struct hf_vocab *vocab, const cJSON *item, struct str *joined,
                       struct hf_merge *merge)
{
    const char *half[2] = {NULL, NULL};
    size_t len[2] = {0, 0};
    int32_t ids[2];
    if (!split_merge(item, half, len)) return false;
    for (int i = 0; i < 2; i++) {
        ids[i] = find_model_token(vocab, half[i], len[i]);
        if (ids[i] < 0)
            return err_user("\"%.*s\" is not in the vocabulary", (int)(len[i] < 64 ? len[i] : 64),
                            half[i]);
    }
    str_clear(joined);
    str_append_bytes(joined, half[0], len[0]);
    str_append_bytes(joined, half[1], len[1]);
    merge->result = find_model_token(vocab, str_text(joined), joined->len);
    if (merge->result < 0)
        return err_user("its result \"%.64s\" is not in the vocabulary", str_text(joined));
    merge->pair = (uint64_t)ids[0] << 32 | (uint32_t)ids[1];
    return true;
}

// Puts a merge into the table; of a pair that is there twice the later counts, as in the library.
static void put_merge(struct hf_bpe *b, struct hf_merge merge)
{
    for (size_t i = hf_bpe_slot(b, merge.pair);; i = (i + 1) & (b->merge_slots - 1)) {
        if (b->merges[i].pair != merge.pair && b->merges[i].pair != UINT64_MAX) continue;
        b->merges[i] = merge;
        return;
    }
}

static bool is_version_line(const cJSON *item)
{
    return cJSON_IsString(item) && strncmp(item->valuestring, "#version", 8) == 0;
}

static bool read_merges(struct hf_bpe *b, const struct hf_vocab *vocab, const cJSON *list)
{
    struct str joined = {0};
    size_t count = 0, index = 0;
    uint32_t rank = 0;
    bool ok = true;
    if (!cJSON_IsArray(list)) return err_user("expected a list");
    for (const cJSON *item = list->child; item; item = item->next)
        count++;
    if (count > 1 << 27) return err_user("%zu merges are too many", count);
    for (b->merge_slots = 16; b->merge_slots < 2 * count;)
        b->merge_slots *= 2;
    b->merges = MEM_ARRAY(struct hf_merge, b->merge_slots);
    for (size_t i = 0; i < b->merge_slots; i++)
        b->merges[i].pair = UINT64_MAX;
    for (const cJSON *item = list->child; item && ok; item = item->next, index++) {
        struct hf_merge merge = {.rank = rank};
        if (is_version_line(item)) continue;
        ok = read_merge(vocab, item, &joined, &merge) || err_context("[%zu]", index);
        if (ok) put_merge(b, merge);
        rank++;
    }
    str_finish(&joined);
    return ok;
}

static bool read_settings(struct hf_bpe *b, const struct hf_vocab *vocab, const cJSON *model)
{
    const char *unk = NULL, *prefix = "", *suffix = "";
    double dropout = 0;
    if (!json_get_string(model, "unk_token", &unk) ||
        !json_get_bool(model, "fuse_unk", &b->fuse_unk) ||
        !json_get_bool(model, "byte_fallback", &b->byte_fallback) ||
        !json_get_bool(model, "ignore_merges", &b->ignore_merges) ||
        !json_get_string(model, "continuing_subword_prefix", &prefix) ||
        !json_get_string(model, "end_of_word_suffix", &suffix) ||
        !json_get_double(model, "dropout", &dropout))
        return false;
    if (*prefix)
        return err_user("continuing_subword_prefix: \"%.64s\" is not supported; supported: none",
                        prefix);
    if (*suffix)
        return err_user("end_of_word_suffix: \"%.64s\" is not supported; supported: none", suffix);
    if (dropout != 0)
        return err_user("dropout: %g is not supported; supported: none or 0", dropout);
    b->has_unk = unk != NULL;
    b->unk = unk ? find_model_token(vocab, unk, strlen(unk)) : -1;
    return true;
}

static void find_chars(struct hf_bpe *b, const struct hf_vocab *vocab)
{
    for (uint32_t c = 0; c < sizeof b->low_chars / sizeof *b->low_chars; c++) {
        struct str text = {0};
        str_append_codepoint(&text, c);
        b->low_chars[c] = find_model_token(vocab, text.data, text.len);
        str_finish(&text);
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        int len = snprintf(text, sizeof text, "<0x%02X>", byte);
        b->byte_tokens[byte] = find_model_token(vocab, text, (size_t)len);
    }
}

// Marks the tokens that BPE makes of their own text. A word with such a text then needs no merging:
// a cache of words that never changes.
static void mark_whole(const struct hf_bpe *b, struct hf_vocab *vocab)
{
    struct hf_bpe_scratch scratch = {0};
    struct hf_ids ids = {0};
    for (size_t id = 0; id < vocab->id_count; id++) {
        if (!(vocab->tokens[id].flags & HF_TOKEN_MODEL)) continue;
        size_t len;
        const char *text = hf_vocab_text(vocab, (int32_t)id, &len);
        ids.count = 0;
        if (!hf_bpe_merge(b, vocab, &scratch, text, len, &ids))
            err_clear(); // a text of unknown characters is not whole
        else if (ids.count == 1 && ids.items[0] == (int32_t)id)
            vocab->tokens[id].flags |= HF_TOKEN_WHOLE;
    }
    ARRAY_FREE(&ids);
    hf_bpe_scratch_finish(&scratch);
}

bool hf_bpe_load(struct hf_bpe *b, struct hf_vocab *vocab, const cJSON *model)
{
    const char *type = "BPE"; // old files have none
    *b = (struct hf_bpe){.unk = -1};
    if (!cJSON_IsObject(model)) return err_user("expected an object");
    if (!json_get_string(model, "type", &type)) return false;
    if (strcmp(type, "BPE") != 0)
        return err_user("type: \"%.64s\" is not supported; supported: BPE", type);
    if (!json_get(model, "vocab")) return err_user("vocab: missing");
    if (!json_get(model, "merges")) return err_user("merges: missing; supported: BPE models");
    if (!hf_vocab_load(vocab, json_get(model, "vocab"))) return err_context("vocab");
    if (!read_merges(b, vocab, json_get(model, "merges"))) return err_context("merges");
    if (!read_settings(b, vocab, model)) return false;
    find_chars(b, vocab);
    mark_whole(b, vocab);
    return true;
}

void hf_bpe_finish(struct hf_bpe *b)
{
    mem_free(b->merges);
    b->merges = NULL;
}
