#include "cli/lab/start.h"

#include "base/array.h"
#include "base/file.h"
#include "base/json.h"
#include "hf/config.h"
#include "model/weights.h"

#include <string.h>

static const char end_token[] = "<|end|>";

bool lab_write_text(const char *dir, const char *name, struct str *text)
{
    char *path = file_join(dir, name);
    bool ok = file_write_whole(path, str_text(text), text->len);
    mem_free(path);
    str_finish(text);
    return ok;
}

void lab_append_member(struct str *out, const char *name, struct str *value)
{
    str_appendf(out, "%s\"%s\": ", out->len && out->data[out->len - 1] != '\n' ? ", " : "{", name);
    json_append_string(out, str_text(value), value->len);
    str_finish(value);
}

// ---- tokenizer ----

// Byte-level BPE in which every word of a world is one token: its merges put a word together from
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

static void make_vocabulary(struct vocabulary *v, const struct lab_start *s)
{
    *v = (struct vocabulary){0};
    add_token(v, end_token);
    for (uint32_t b = 0; b < 256; b++) {
        struct str token = {0};
        append_byte(&token, b);
        add_token(v, str_text(&token));
        str_finish(&token);
    }
    s->words(add_word, v);
}

static bool write_tokenizer(const struct lab_start *s, size_t *vocab_size)
{
    struct vocabulary v;
    struct str text = {0}, config = {0};
    make_vocabulary(&v, s);
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
                "  \"clean_up_tokenization_spaces\": false,\n  \"model_max_length\": %u\n}\n",
                end_token, end_token, s->positions);
    *vocab_size = v.tokens.count;
    for (size_t i = 0; i < v.tokens.count; i++)
        mem_free(v.tokens.items[i]);
    ARRAY_FREE(&v.tokens);
    str_finish(&v.vocab);
    str_finish(&v.merges);
    bool ok = lab_write_text(s->dir, "tokenizer.json", &text);
    return lab_write_text(s->dir, "tokenizer_config.json", &config) && ok;
}

// ---- model ----

static bool write_config(const struct lab_start *s, size_t vocab_size)
{
    struct str text = {0};
    str_appendf(&text,
                "{\n  \"architectures\": [\"LlamaForCausalLM\"],\n  \"model_type\": \"llama\",\n"
                "  \"vocab_size\": %zu,\n  \"hidden_size\": %u,\n  \"intermediate_size\": %u,\n"
                "  \"num_hidden_layers\": %u,\n  \"num_attention_heads\": %u,\n"
                "  \"num_key_value_heads\": %u,\n  \"head_dim\": %u,\n"
                "  \"max_position_embeddings\": %u,\n  \"hidden_act\": \"silu\",\n"
                "  \"rms_norm_eps\": 1e-05,\n  \"rope_theta\": 10000.0,\n"
                "  \"tie_word_embeddings\": false,\n  \"attention_bias\": false,\n"
                "  \"mlp_bias\": false,\n  \"initializer_range\": 0.05,\n"
                "  \"bos_token_id\": null,\n  \"eos_token_id\": 0,\n"
                "  \"torch_dtype\": \"float32\",\n  \"use_cache\": true\n}\n",
                vocab_size, s->hidden, s->intermediate, s->layers, s->heads, s->kv_heads,
                s->head_size, s->positions);
    return lab_write_text(s->dir, "config.json", &text);
}

static bool write_weights(const struct lab_start *s)
{
    static const char *const metadata[] = {"format", "pt", NULL};
    struct hf_config hf;
    struct model_layout layout;
    struct model_weights weights = {0};
    if (!hf_config_load(&hf, s->dir)) return false;
    struct model_config config = model_config_from_hf(&hf);
    if (!model_layout_init(&layout, &config, vk_max_span_bytes(s->device))) return false;
    char *path = file_join(s->dir, "model.safetensors");
    bool ok = model_weights_init(&weights, s->device, &layout, MODEL_F32, "new weights") &&
              model_weights_randomize(&weights, s->seed) &&
              model_weights_save(&(struct model_weights_part){&weights, ""}, 1, path, DTYPE_F32,
                                 metadata);
    mem_free(path);
    model_weights_finish(&weights);
    model_layout_finish(&layout);
    return ok;
}

bool lab_write_start(const struct lab_start *s)
{
    size_t vocab_size;
    return file_make_dirs(s->dir) && write_tokenizer(s, &vocab_size) &&
           write_config(s, vocab_size) && write_weights(s);
}
