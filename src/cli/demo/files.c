#include "cli/demo/files.h"

#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "cli/demo/world.h"
#include "demo_configs.h" // made by CMake from configs/demo/*.yaml
#include "hf/config.h"
#include "model/weights.h"

#include <string.h>

#define CORPUS_ROWS 1536
#define PREFERENCE_ROWS 512
#define HELD_OUT_ROWS 96

static const char end_token[] = "<|end|>";

bool demo_is_held_out(uint32_t subject)
{
    return subject % 5 == 2; // every colour and every animal is among both halves
}

static bool write_in(const char *dir, const char *name, struct str *text)
{
    char *path = file_join(dir, name);
    bool ok = file_write_whole(path, str_text(text), text->len);
    mem_free(path);
    str_finish(text);
    return ok;
}

// ---- tokenizer ----

// Byte-level BPE in which every word of the world is one token: its merges put a word together from
// its first byte on.
struct vocabulary {
    struct str vocab, merges;
    struct ARRAY_OF(char *) tokens;
};

static bool add_token(struct vocabulary *v, const char *token)
{
    for (size_t i = 0; i < v->tokens.count; i++)
        if (strcmp(v->tokens.items[i], token) == 0) return false;
    str_append(&v->vocab, v->tokens.count ? ",\n      " : "\n      ");
    json_append_string(&v->vocab, token, strlen(token));
    str_appendf(&v->vocab, ": %zu", v->tokens.count);
    ARRAY_PUSH(&v->tokens, mem_strdup(token));
    return true;
}

// GPT-2's alphabet: printable bytes stand for themselves, the others for code points from 256 on.
static void append_byte(struct str *out, uint32_t byte)
{
    uint32_t other = 0;
    for (uint32_t b = 0; b <= byte; b++) {
        bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
        if (b == byte) str_append_codepoint(out, printable ? b : 256 + other);
        other += !printable;
    }
}

static void add_word(void *ctx, const char *word)
{
    struct vocabulary *v = ctx;
    struct str left = {0}, right = {0}, both = {0};
    append_byte(&left, (uint8_t)word[0]);
    for (size_t i = 1; word[i]; i++) {
        str_clear(&right);
        str_clear(&both);
        append_byte(&right, (uint8_t)word[i]);
        str_append(&both, str_text(&left));
        str_append(&both, str_text(&right));
        if (add_token(v, str_text(&both))) {
            str_append(&v->merges, v->merges.len ? ",\n      [" : "\n      [");
            json_append_string(&v->merges, str_text(&left), left.len);
            str_append(&v->merges, ", ");
            json_append_string(&v->merges, str_text(&right), right.len);
            str_append_char(&v->merges, ']');
        }
        str_clear(&left);
        str_append(&left, str_text(&both));
    }
    str_finish(&left);
    str_finish(&right);
    str_finish(&both);
}

static void make_vocabulary(struct vocabulary *v)
{
    *v = (struct vocabulary){0};
    add_token(v, end_token);
    for (uint32_t b = 0; b < 256; b++) {
        struct str token = {0};
        append_byte(&token, b);
        add_token(v, str_text(&token));
        str_finish(&token);
    }
    demo_words(add_word, v);
}

static bool write_tokenizer(const char *dir, size_t *vocab_size)
{
    struct vocabulary v;
    struct str text = {0}, config = {0};
    make_vocabulary(&v);
    str_appendf(
        &text,
        "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
        "  \"added_tokens\": [{\"id\": 0, \"content\": \"%s\", \"single_word\": false, "
        "\"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}],\n"
        "  \"normalizer\": null,\n"
        "  \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
        "\"trim_offsets\": true, \"use_regex\": true},\n"
        "  \"post_processor\": null,\n"
        "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
        "\"trim_offsets\": true, \"use_regex\": true},\n"
        "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n"
        "    \"unk_token\": null,\n    \"continuing_subword_prefix\": null,\n"
        "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n"
        "    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n    \"vocab\": {",
        end_token);
    str_append(&text, str_text(&v.vocab));
    str_append(&text, "\n    },\n    \"merges\": [");
    str_append(&text, str_text(&v.merges));
    str_append(&text, "\n    ]\n  }\n}\n");
    str_appendf(&config,
                "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n"
                "  \"eos_token\": \"%s\",\n  \"pad_token\": \"%s\",\n"
                "  \"clean_up_tokenization_spaces\": false,\n  \"model_max_length\": 128\n}\n",
                end_token, end_token);
    *vocab_size = v.tokens.count;
    for (size_t i = 0; i < v.tokens.count; i++)
        mem_free(v.tokens.items[i]);
    ARRAY_FREE(&v.tokens);
    str_finish(&v.vocab);
    str_finish(&v.merges);
    bool ok = write_in(dir, "tokenizer.json", &text);
    return write_in(dir, "tokenizer_config.json", &config) && ok;
}

// ---- model ----

static bool write_config(const char *dir, size_t vocab_size)
{
    struct str text = {0};
    str_appendf(&text,
                "{\n  \"architectures\": [\"LlamaForCausalLM\"],\n  \"model_type\": \"llama\",\n"
                "  \"vocab_size\": %zu,\n  \"hidden_size\": 128,\n  \"intermediate_size\": 384,\n"
                "  \"num_hidden_layers\": 4,\n  \"num_attention_heads\": 4,\n"
                "  \"num_key_value_heads\": 2,\n  \"head_dim\": 32,\n"
                "  \"max_position_embeddings\": 128,\n  \"hidden_act\": \"silu\",\n"
                "  \"rms_norm_eps\": 1e-05,\n  \"rope_theta\": 10000.0,\n"
                "  \"tie_word_embeddings\": false,\n  \"attention_bias\": false,\n"
                "  \"mlp_bias\": false,\n  \"initializer_range\": 0.05,\n"
                "  \"bos_token_id\": null,\n  \"eos_token_id\": 0,\n"
                "  \"torch_dtype\": \"float32\",\n  \"use_cache\": true\n}\n",
                vocab_size);
    return write_in(dir, "config.json", &text);
}

static bool write_weights(const char *dir, struct vk_device *device, uint64_t seed)
{
    static const char *const metadata[] = {"format", "pt", NULL};
    struct hf_config hf;
    struct model_layout layout;
    struct model_weights weights = {0};
    if (!hf_config_load(&hf, dir)) return false;
    struct model_config config = model_config_from_hf(&hf);
    if (!model_layout_init(&layout, &config, vk_max_span_bytes(device))) return false;
    char *path = file_join(dir, "model.safetensors");
    bool ok = model_weights_init(&weights, device, &layout, "new weights") &&
              model_weights_randomize(&weights, seed) &&
              model_weights_save(&(struct model_weights_part){&weights, ""}, 1, path, DTYPE_F32,
                                 metadata);
    mem_free(path);
    model_weights_finish(&weights);
    model_layout_finish(&layout);
    return ok;
}

// ---- data ----

static void append_member(struct str *out, const char *name, struct str *value)
{
    str_appendf(out, "%s\"%s\": ", out->len && out->data[out->len - 1] != '\n' ? ", " : "{", name);
    json_append_string(out, str_text(value), value->len);
    str_finish(value);
}

static bool write_corpus(const char *dir, uint64_t seed)
{
    struct rng rng = rng_begin(seed, RNG_DEMO);
    struct str text = {0};
    for (int i = 0; i < CORPUS_ROWS; i++) {
        uint32_t subject = (uint32_t)rng_below(&rng, DEMO_SUBJECTS);
        bool well = rng_below(&rng, 2) == 0;
        struct str prompt = {0}, story = {0};
        demo_prompt(&prompt, subject);
        demo_opening(&story, &rng, subject);
        demo_end(&story, &rng, well);
        append_member(&text, "prompt", &prompt);
        append_member(&text, "completion", &story);
        str_append(&text, "}\n");
    }
    return write_in(dir, "corpus.jsonl", &text);
}

static bool write_pairs(const char *dir, const char *name, uint64_t seed, int rows, bool held_out)
{
    struct rng rng = rng_begin(seed, RNG_DEMO + (held_out ? 2u << 8 : 1u << 8));
    struct str text = {0};
    for (int i = 0; i < rows; i++) {
        uint32_t subject;
        do
            subject = (uint32_t)rng_below(&rng, DEMO_SUBJECTS);
        while (demo_is_held_out(subject) != held_out);
        struct str prompt = {0}, chosen = {0}, rejected = {0};
        demo_prompt(&prompt, subject);
        // One opening, two ends: the pair differs in what the preference is about.
        demo_opening(&chosen, &rng, subject);
        str_append(&rejected, str_text(&chosen));
        demo_end(&chosen, &rng, true);
        demo_end(&rejected, &rng, false);
        append_member(&text, "prompt", &prompt);
        append_member(&text, "chosen", &chosen);
        append_member(&text, "rejected", &rejected);
        str_append(&text, "}\n");
    }
    return write_in(dir, name, &text);
}

// Settings from configs/demo with the folder's name in them.
static bool write_settings(const char *dir, const char *name, const char *settings)
{
    static const char mark[] = "trdpo-demo/";
    struct str text = {0};
    for (const char *at = settings; *at;) {
        if (str_starts_with(at, mark)) {
            str_appendf(&text, "%s/", dir);
            at += sizeof mark - 1;
        } else {
            str_append_char(&text, *at++);
        }
    }
    return write_in(dir, name, &text);
}

bool demo_write_files(const char *dir, struct vk_device *device, uint64_t seed)
{
    size_t vocab_size;
    char *start = file_join(dir, "start");
    bool ok = file_make_dirs(start) && write_tokenizer(start, &vocab_size) &&
              write_config(start, vocab_size) && write_weights(start, device, seed) &&
              write_corpus(dir, seed) &&
              write_pairs(dir, "preferences.jsonl", seed, PREFERENCE_ROWS, false) &&
              write_pairs(dir, "held_out.jsonl", seed, HELD_OUT_ROWS, true) &&
              write_settings(dir, "sft.yaml", demo_config_sft) &&
              write_settings(dir, "tr-dpo.yaml", demo_config_tr_dpo) &&
              write_settings(dir, "dpo.yaml", demo_config_dpo);
    mem_free(start);
    return ok;
}
