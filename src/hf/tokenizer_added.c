#include "hf/tokenizer_added.h"

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "hf/tokenizer_chars.h"

#include <stdlib.h>
#include <string.h>

static int compare_patterns(const void *a, const void *b)
{
    const struct hf_pattern *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
    if (order) return order;
    if (x->len != y->len) return x->len < y->len ? -1 : 1;
    return (x->order < y->order) - (x->order > y->order); // the last comes first
}

// Sorts; of tokens that normalise to one text the last stays, as in the library.
static void finish_patterns(struct hf_patterns *p)
{
    size_t kept = 0;
    if (p->list.count) qsort(p->list.items, p->list.count, sizeof *p->list.items, compare_patterns);
    for (size_t i = 0; i < p->list.count; i++) {
        struct hf_pattern *x = &p->list.items[i];
        if (kept && p->list.items[kept - 1].len == x->len &&
            memcmp(p->list.items[kept - 1].text, x->text, x->len) == 0) {
            mem_free(x->text);
            continue;
        }
        p->begins[(uint8_t)x->text[0]] = true;
        p->list.items[kept++] = *x;
    }
    p->list.count = kept;
}

// The id of a token of the file, which the library would give it too: the model's, or else the next
// after the model's tokens and the tokens added so far.
static bool place_token(struct hf_vocab *vocab, const char *content, int32_t id, size_t model_count,
                        int64_t *last)
{
    size_t len = strlen(content);
    int32_t known = hf_vocab_find(vocab, content, len);
    if (known >= 0 && vocab->tokens[known].flags & HF_TOKEN_ADDED)
        return err_user("\"%.64s\" is there twice", content);
    if (known < 0) {
        int64_t next = *last >= (int64_t)model_count ? *last + 1 : (int64_t)model_count;
        if (id != next)
            return err_user("\"%.64s\" has id %d, where %lld is the next free one", content,
                            (int)id, (long long)next);
        if (!hf_vocab_add(vocab, content, len, id, HF_TOKEN_ADDED)) return false;
    } else if (known != id) {
        return err_user("\"%.64s\" has id %d, and id %d in the model's vocabulary", content,
                        (int)id, (int)known);
    }
    if (id > *last) *last = id;
    return true;
}

static bool read_token(struct hf_added *added, struct hf_vocab *vocab, const struct hf_norms *norms,
                       const cJSON *item, size_t model_count, int64_t *last)
{
    const char *content = NULL;
    bool special = false;
    struct hf_pattern p = {0};
    if (!cJSON_IsObject(item)) return err_user("expected an object");
    if (!json_get_string(item, "content", &content) || !json_get_bool(item, "special", &special))
        return false;
    bool normalized = !special;
    if (!json_get_bool(item, "normalized", &normalized) ||
        !json_get_bool(item, "single_word", &p.single_word) ||
        !json_get_bool(item, "lstrip", &p.lstrip) || !json_get_bool(item, "rstrip", &p.rstrip))
        return false;
    if (!content || !*content) return err_user("content: missing or empty");
    if (!hf_read_id(json_get(item, "id"), &p.id)) return err_context("id");
    if (!place_token(vocab, content, p.id, model_count, last)) return false;
    vocab->tokens[p.id].flags |= HF_TOKEN_ADDED | (special ? HF_TOKEN_SPECIAL : 0u);
    struct str text = {0};
    str_append(&text, content);
    if (normalized && !hf_norms_run(norms, &text)) {
        str_finish(&text);
        return false;
    }
    struct hf_patterns *patterns = normalized ? &added->normalized : &added->plain;
    // The library lists special tokens before the others.
    p.order = (int)patterns->list.count - (special ? HF_MAX_IDS : 0);
    p.len = text.len;
    p.text = str_take(&text);
    if (!p.len) { // normalised to nothing: it cannot be found in a text
        mem_free(p.text);
        return true;
    }
    ARRAY_PUSH(&patterns->list, p);
    return true;
}

bool hf_added_load(struct hf_added *added, struct hf_vocab *vocab, const struct hf_norms *norms,
                   const cJSON *json)
{
    size_t index = 0, model_count = vocab->used;
    int64_t last = -1;
    if (!json) return true;
    if (!cJSON_IsArray(json)) return err_user("expected a list");
    for (const cJSON *item = json->child; item; item = item->next, index++)
        if (!read_token(added, vocab, norms, item, model_count, &last))
            return err_context("[%zu]", index);
    finish_patterns(&added->plain);
    finish_patterns(&added->normalized);
    return true;
}

static void free_patterns(struct hf_patterns *p)
{
    for (size_t i = 0; i < p->list.count; i++)
        mem_free(p->list.items[i].text);
    ARRAY_FREE(&p->list);
}

void hf_added_finish(struct hf_added *added)
{
    free_patterns(&added->plain);
    free_patterns(&added->normalized);
}

// The first pattern of items[low, high), which share their first `depth` bytes, whose byte there is
// at least `byte`.
static size_t lower_bound(const struct hf_pattern *items, size_t low, size_t high, size_t depth,
                          unsigned byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (items[middle].len <= depth || (uint8_t)items[middle].text[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// The longest pattern at the start of `text`, or NULL. The sorted list serves as a trie.
static const struct hf_pattern *longest_at(const struct hf_patterns *p, const char *text,
                                           size_t len)
{
    const struct hf_pattern *items = p->list.items, *found = NULL;
    size_t low = 0, high = p->list.count;
    for (size_t depth = 0; depth < len && low < high; depth++) {
        unsigned byte = (uint8_t)text[depth];
        low = lower_bound(items, low, high, depth, byte);
        high = lower_bound(items, low, high, depth, byte + 1);
        if (low < high && items[low].len == depth + 1) found = &items[low];
    }
    return found;
}

static void push_span(struct hf_spans *out, size_t begin, size_t end, int32_t id)
{
    struct hf_span span = {begin, end, id};
    ARRAY_PUSH(out, span);
}

void hf_patterns_cut(const struct hf_patterns *patterns, const char *text, size_t len,
                     struct hf_spans *out)
{
    size_t done = 0; // end of the last token, with the space it took
    for (size_t at = 0; at < len;) {
        const struct hf_pattern *p = NULL;
        if (patterns->begins[(uint8_t)text[at]]) p = longest_at(patterns, text + at, len - at);
        if (!p) {
            at++;
            continue;
        }
        size_t begin = at, end = at + p->len;
        at = end;
        if (p->single_word &&
            (hf_word_at_end(text, begin) || hf_word_at_start(text + end, len - end)))
            continue;
        if (p->lstrip) {
            begin -= hf_space_at_end(text, begin);
            if (begin < done) begin = done;
        }
        if (p->rstrip) end += hf_space_at_start(text + end, len - end);
        if (begin > done) push_span(out, done, begin, -1);
        // White space that another token took already leaves nothing of this one.
        if (end > begin) push_span(out, begin, end, p->id);
        done = end;
    }
    if (done < len) push_span(out, done, len, -1);
}
