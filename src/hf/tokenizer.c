#include "hf/tokenizer.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "hf/tokenizer_added.h"
#include "hf/tokenizer_bpe.h"
#include "hf/tokenizer_config.h"
#include "hf/tokenizer_decode.h"
#include "hf/tokenizer_normalize.h"
#include "hf/tokenizer_post.h"
#include "hf/tokenizer_split.h"

#include <string.h>

struct hf_tokenizer {
    struct hf_vocab vocab;
    struct hf_added added;
    struct hf_norms norms;
    struct hf_stages stages;
    struct hf_bpe bpe;
    struct hf_post post;
    struct hf_decoders decoders;
    struct hf_tokenizer_config config;
    int32_t bos, eos, pad;
};

// Memory of one call, so that calls may run side by side.
struct encoding {
    struct str text;
    struct hf_spans plain, normalized;
    struct hf_cutter cutter;
    struct hf_bpe_scratch bpe;
};

static bool load_parts(struct hf_tokenizer *t, const cJSON *json)
{
    if (!cJSON_IsObject(json)) return err_user("expected a JSON object");
    if (!json_get(json, "model")) return err_user("model: missing");
    if (!hf_bpe_load(&t->bpe, &t->vocab, json_get(json, "model"))) return err_context("model");
    if (!hf_norms_load(&t->norms, json_get(json, "normalizer"))) return err_context("normalizer");
    if (!hf_added_load(&t->added, &t->vocab, &t->norms, json_get(json, "added_tokens")))
        return err_context("added_tokens");
    if (!hf_stages_load(&t->stages, json_get(json, "pre_tokenizer")))
        return err_context("pre_tokenizer");
    if (!hf_post_load(&t->post, &t->vocab, json_get(json, "post_processor")))
        return err_context("post_processor");
    return hf_decoders_load(&t->decoders, json_get(json, "decoder")) || err_context("decoder");
}

// Ids of the tokens that tokenizer_config.json names. One that tokenizer.json lacks would be made
// by transformers, beyond the model's embeddings.
static bool find_special(struct hf_tokenizer *t, const char *dir)
{
    const struct {
        const char *name, *text;
        int32_t *id;
    } specials[] = {
        {"bos_token", t->config.bos, &t->bos},
        {"eos_token", t->config.eos, &t->eos},
        {"pad_token", t->config.pad, &t->pad},
    };
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        *specials[i].id = specials[i].text ? hf_tokenizer_find(t, specials[i].text) : -1;
        if (!specials[i].text || *specials[i].id >= 0) continue;
        if (specials[i].id == &t->pad) // nothing here is padded
            log_warn("%s/tokenizer_config.json: pad_token \"%.64s\" is not a token of "
                     "tokenizer.json; it is left out",
                     dir, specials[i].text);
        else
            return err_user("%s/tokenizer_config.json: %s \"%.64s\" is not a token of "
                            "tokenizer.json",
                            dir, specials[i].name, specials[i].text);
    }
    return true;
}

struct hf_tokenizer *hf_tokenizer_load(const char *dir)
{
    struct hf_tokenizer *t = MEM_NEW(struct hf_tokenizer);
    char *path = file_join(dir, "tokenizer.json");
    cJSON *json = json_parse_file(path, 0);
    bool ok = json && (load_parts(t, json) || err_context("%s", path));
    cJSON_Delete(json);
    mem_free(path);
    ok = ok && hf_tokenizer_config_load(&t->config, dir) && find_special(t, dir);
    if (ok) return t;
    hf_tokenizer_destroy(t);
    return NULL;
}

void hf_tokenizer_destroy(struct hf_tokenizer *t)
{
    if (!t) return;
    hf_vocab_finish(&t->vocab);
    hf_added_finish(&t->added);
    hf_norms_finish(&t->norms);
    hf_stages_finish(&t->stages);
    hf_bpe_finish(&t->bpe);
    hf_post_finish(&t->post);
    hf_decoders_finish(&t->decoders);
    hf_tokenizer_config_finish(&t->config);
    mem_free(t);
}

// A text without added tokens.
static bool encode_words(const struct hf_tokenizer *t, struct encoding *e, const char *text,
                         size_t len, bool first, struct hf_ids *out)
{
    if (!hf_stages_run(&t->stages, &e->cutter, text, len, first)) return false;
    for (size_t i = 0; i < e->cutter.pieces.count; i++) {
        const struct hf_piece *piece = &e->cutter.pieces.items[i];
        if (!hf_bpe_encode(&t->bpe, &t->vocab, &e->bpe, e->cutter.text.data + piece->begin,
                           piece->end - piece->begin, out))
            return false;
    }
    return true;
}

// A text between the added tokens that are searched for before normalising.
static bool encode_between(const struct hf_tokenizer *t, struct encoding *e, const char *text,
                           size_t len, bool first, struct hf_ids *out)
{
    str_clear(&e->text);
    str_append_bytes(&e->text, text, len);
    if (!hf_norms_run(&t->norms, &e->text)) return false;
    e->normalized.count = 0;
    hf_patterns_cut(&t->added.normalized, str_text(&e->text), e->text.len, &e->normalized);
    for (size_t i = 0; i < e->normalized.count; i++) {
        const struct hf_span *span = &e->normalized.items[i];
        if (span->id >= 0)
            ARRAY_PUSH(out, span->id);
        else if (!encode_words(t, e, e->text.data + span->begin, span->end - span->begin,
                               first && span->begin == 0, out))
            return false;
    }
    return true;
}

static bool encode_text(const struct hf_tokenizer *t, struct encoding *e, const char *text,
                        size_t len, struct hf_ids *out)
{
    hf_patterns_cut(&t->added.plain, text, len, &e->plain);
    for (size_t i = 0; i < e->plain.count; i++) {
        const struct hf_span *span = &e->plain.items[i];
        if (span->id >= 0)
            ARRAY_PUSH(out, span->id);
        else if (!encode_between(t, e, text + span->begin, span->end - span->begin,
                                 span->begin == 0, out))
            return false;
    }
    return true;
}

static void push_all(struct hf_ids *out, const struct hf_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        ARRAY_PUSH(out, ids->items[i]);
}

bool hf_tokenizer_encode(const struct hf_tokenizer *t, const char *text, size_t len,
                         bool add_special, struct hf_ids *out)
{
    struct encoding e = {0};
    size_t bad, count = out->count;
    // Positions are 32 bits, and a byte may become two in the byte-level alphabet.
    if (len > INT32_MAX / 4) return err_user("a text of %zu bytes is too long to tokenise", len);
    if (len && !str_utf8_valid(text, len, &bad))
        return err_user("the text is not UTF-8 at byte %zu", bad);
    if (add_special) push_all(out, &t->post.before);
    bool ok = !len || encode_text(t, &e, text, len, out);
    if (add_special) push_all(out, &t->post.after);
    if (!ok) out->count = count;
    str_finish(&e.text);
    ARRAY_FREE(&e.plain);
    ARRAY_FREE(&e.normalized);
    hf_cutter_finish(&e.cutter);
    hf_bpe_scratch_finish(&e.bpe);
    return ok;
}

bool hf_tokenizer_decode(const struct hf_tokenizer *t, const int32_t *ids, size_t count,
                         bool skip_special, struct str *out)
{
    struct hf_texts tokens = {0};
    for (size_t i = 0; i < count; i++) {
        size_t len;
        if (ids[i] < 0 || ids[i] >= hf_tokenizer_id_count(t)) {
            hf_texts_finish(&tokens);
            return err_user("id %d is out of range; the tokenizer's ids are 0 to %d", (int)ids[i],
                            (int)hf_tokenizer_id_count(t) - 1);
        }
        if (!hf_vocab_has(&t->vocab, ids[i])) continue; // a hole: no text
        if (skip_special && t->vocab.tokens[ids[i]].flags & HF_TOKEN_SPECIAL) continue;
        const char *text = hf_vocab_text(&t->vocab, ids[i], &len);
        hf_texts_push(&tokens, text, len);
    }
    hf_decoders_run(&t->decoders, &tokens, out);
    hf_texts_finish(&tokens);
    return true;
}

void hf_tokenizer_token_bytes(const struct hf_tokenizer *t, int32_t id, struct str *out)
{
    size_t len;
    if (!hf_vocab_has(&t->vocab, id)) return;
    const char *text = hf_vocab_text(&t->vocab, id, &len);
    hf_decoders_token(&t->decoders, text, len, out);
}

int32_t hf_tokenizer_id_count(const struct hf_tokenizer *t)
{
    return (int32_t)t->vocab.id_count;
}

int32_t hf_tokenizer_find(const struct hf_tokenizer *t, const char *token)
{
    return hf_vocab_find(&t->vocab, token, strlen(token));
}

int32_t hf_tokenizer_bos(const struct hf_tokenizer *t)
{
    return t->bos;
}

int32_t hf_tokenizer_eos(const struct hf_tokenizer *t)
{
    return t->eos;
}

int32_t hf_tokenizer_pad(const struct hf_tokenizer *t)
{
    return t->pad;
}

const char *hf_tokenizer_bos_text(const struct hf_tokenizer *t)
{
    return t->config.bos;
}

const char *hf_tokenizer_eos_text(const struct hf_tokenizer *t)
{
    return t->config.eos;
}

bool hf_tokenizer_adds_bos(const struct hf_tokenizer *t)
{
    return t->bos >= 0 && t->post.before.count && t->post.before.items[0] == t->bos;
}

const char *hf_tokenizer_chat_template(const struct hf_tokenizer *t)
{
    return t->config.chat_template;
}
