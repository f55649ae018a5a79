#include "hf/tokenizer_bpe.h"

#include "base/error.h"
#include "base/mem.h"

// A word's characters as ids, in three ways as the vocabulary allows: the character's own token,
// the tokens of its bytes, or the unknown token. An unknown token waits until a known character
// comes (or the end), so that its neighbours may join it; byte tokens do not make it come out.
struct word_reader {
    const struct hf_bpe *bpe;
    const struct hf_vocab *vocab;
    struct hf_symbols *symbols;
    bool unk_waits;
};

static void push_symbol(struct hf_symbols *symbols, int32_t id)
{
    int32_t at = (int32_t)symbols->count;
    struct hf_symbol s = {.id = id, .prev = at - 1, .next = at + 1};
    ARRAY_PUSH(symbols, s);
}

static bool push_bytes(struct word_reader *r, const char *bytes, size_t len)
{
    if (!r->bpe->byte_fallback) return false;
    for (size_t i = 0; i < len; i++)
        if (r->bpe->byte_tokens[(uint8_t)bytes[i]] < 0) return false;
    for (size_t i = 0; i < len; i++)
        push_symbol(r->symbols, r->bpe->byte_tokens[(uint8_t)bytes[i]]);
    return true;
}

static void flush_unknown(struct word_reader *r)
{
    if (r->unk_waits) push_symbol(r->symbols, r->bpe->unk);
    r->unk_waits = false;
}

static bool push_char(struct word_reader *r, const char *bytes, size_t len, uint32_t codepoint)
{
    const size_t low = sizeof r->bpe->low_chars / sizeof *r->bpe->low_chars;
    int32_t id = -1;
    if (codepoint < low) {
        id = r->bpe->low_chars[codepoint];
    } else {
        id = hf_vocab_find(r->vocab, bytes, len);
        if (id >= 0 && !(r->vocab->tokens[id].flags & HF_TOKEN_MODEL)) id = -1;
    }
    if (id >= 0) {
        flush_unknown(r);
        push_symbol(r->symbols, id);
        return true;
    }
    if (push_bytes(r, bytes, len) || !r->bpe->has_unk) return true;
    if (r->bpe->unk < 0)
        return err_user("tokenizer.json: model.unk_token is not in the vocabulary, and the text "
                        "has a character (U+%04X) that needs it",
                        (unsigned)codepoint);
    if (!r->bpe->fuse_unk) flush_unknown(r);
    r->unk_waits = true;
    return true;
}

size_t hf_bpe_slot(const struct hf_bpe *b, uint64_t pair)
{
    pair ^= pair >> 31;
    pair *= 0x9e3779b97f4a7c15u;
    pair ^= pair >> 29;
    pair *= 0xbf58476d1ce4e5b9u;
    return (size_t)(pair ^ pair >> 32) & (b->merge_slots - 1);
}

// What becomes of two neighbours; NULL: they do not merge.
static const struct hf_merge *find_merge(const struct hf_bpe *b, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)left << 32 | (uint32_t)right;
    size_t mask = b->merge_slots - 1;
    for (size_t i = hf_bpe_slot(b, pair);; i = (i + 1) & mask) {
        if (b->merges[i].pair == pair) return &b->merges[i];
        if (b->merges[i].pair == UINT64_MAX) return NULL;
    }
}

// The order in which merges happen: by rank, then from the left.
static bool comes_before(const struct hf_candidate *a, const struct hf_candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void queue_push(struct hf_queue *q, struct hf_candidate c)
{
    size_t at = q->count;
    ARRAY_PUSH(q, c);
    while (at > 0 && comes_before(&c, &q->items[(at - 1) / 2])) {
        q->items[at] = q->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    q->items[at] = c;
}

static struct hf_candidate queue_pop(struct hf_queue *q)
{
    struct hf_candidate top = q->items[0], last = q->items[--q->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= q->count) break;
        if (child + 1 < q->count && comes_before(&q->items[child + 1], &q->items[child])) child++;
        if (!comes_before(&q->items[child], &last)) break;
        q->items[at] = q->items[child];
        at = child;
    }
    q->items[at] = last;
    return top;
}

// Queues the merge of the symbol at `at` with the one after it, if there is such a merge.
static void queue_pair(const struct hf_bpe *b, struct hf_bpe_scratch *s, int32_t at)
{
    const struct hf_symbol *symbols = s->symbols.items;
    int32_t next = symbols[at].next;
    if ((size_t)next >= s->symbols.count) return;
    const struct hf_merge *m = find_merge(b, symbols[at].id, symbols[next].id);
    struct hf_candidate c = {.at = (uint32_t)at};
    if (!m) return;
    c.rank = m->rank;
    c.result = m->result;
    queue_push(&s->queue, c);
}

static void merge_all(const struct hf_bpe *b, struct hf_bpe_scratch *s)
{
    struct hf_symbol *symbols = s->symbols.items;
    size_t count = s->symbols.count;
    s->queue.count = 0;
    for (size_t i = 0; i + 1 < count; i++)
        queue_pair(b, s, (int32_t)i);
    while (s->queue.count) {
        struct hf_candidate top = queue_pop(&s->queue);
        struct hf_symbol *left = &symbols[top.at];
        if (left->id < 0 || (size_t)left->next >= count) continue;
        struct hf_symbol *right = &symbols[left->next];
        // The pair may have changed since it was queued.
        const struct hf_merge *m = find_merge(b, left->id, right->id);
        if (!m || m->result != top.result) continue;
        left->id = top.result;
        left->next = right->next;
        right->id = -1;
        if ((size_t)left->next < count) symbols[left->next].prev = (int32_t)top.at;
        if (left->prev >= 0) queue_pair(b, s, left->prev);
        queue_pair(b, s, (int32_t)top.at);
    }
}

bool hf_bpe_merge(const struct hf_bpe *b, const struct hf_vocab *vocab, struct hf_bpe_scratch *s,
                  const char *word, size_t len, struct hf_ids *out)
{
    struct word_reader reader = {.bpe = b, .vocab = vocab, .symbols = &s->symbols};
    s->symbols.count = 0;
    for (size_t at = 0; at < len;) {
        size_t begin = at;
        uint32_t codepoint = str_next_codepoint(word, len, &at);
        if (!push_char(&reader, word + begin, at - begin, codepoint)) return false;
    }
    flush_unknown(&reader);
    merge_all(b, s);
    for (size_t i = 0; i < s->symbols.count; i = (size_t)s->symbols.items[i].next)
        ARRAY_PUSH(out, s->symbols.items[i].id);
    return true;
}

bool hf_bpe_encode(const struct hf_bpe *b, const struct hf_vocab *vocab,
                   struct hf_bpe_scratch *scratch, const char *word, size_t len, struct hf_ids *out)
{
    int32_t id = hf_vocab_find(vocab, word, len);
    unsigned flags = id < 0 ? 0 : vocab->tokens[id].flags;
    if (flags & HF_TOKEN_MODEL && (b->ignore_merges || flags & HF_TOKEN_WHOLE)) {
        ARRAY_PUSH(out, id);
        return true;
    }
    return hf_bpe_merge(b, vocab, scratch, word, len, out);
}

void hf_bpe_scratch_finish(struct hf_bpe_scratch *scratch)
{
    ARRAY_FREE(&scratch->symbols);
    ARRAY_FREE(&scratch->queue);
}
