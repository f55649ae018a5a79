#include "hf/tokenizer_split.h"

#include "base/error.h"
#include "base/mem.h"
#include "hf/tokenizer_bytes.h"

#include <string.h>

static void push_piece(struct hf_pieces *pieces, size_t begin, size_t end, bool flag)
{
    struct hf_piece piece = {begin, end, flag};
    ARRAY_PUSH(pieces, piece);
}

// The matches of a piece and what lies between them, in order; the flag tells the matches.
static bool find_spans(const struct hf_stage *stage, struct hf_cutter *c,
                       const struct hf_piece *piece)
{
    struct hf_matches m = {
        .text = c->text.data + piece->begin, .len = piece->end - piece->begin, .data = c->data};
    size_t previous = 0;
    enum hf_match_result result;
    c->spans.count = 0;
    while ((result = hf_regex_next(stage->regex, &m)) == HF_MATCH_FOUND) {
        if (m.begin > previous) push_piece(&c->spans, previous, m.begin, stage->invert);
        push_piece(&c->spans, m.begin, m.end, !stage->invert);
        previous = m.end;
    }
    if (previous < m.len) push_piece(&c->spans, previous, m.len, stage->invert);
    return result == HF_MATCH_NONE;
}

// Joins matches to their neighbours as the behaviour wants; what is left counts as no match.
static void merge_forward(struct hf_pieces *spans, enum hf_split_behavior behavior)
{
    bool previous = false;
    size_t kept = 0;
    for (size_t i = 0; i < spans->count; i++) {
        struct hf_piece span = spans->items[i];
        bool is_match = span.first;
        bool join = behavior == HF_SPLIT_CONTIGUOUS ? is_match == previous : is_match && !previous;
        previous = is_match;
        if (join && kept) {
            spans->items[kept - 1].end = span.end;
            continue;
        }
        span.first = false;
        spans->items[kept++] = span;
    }
    spans->count = kept;
}

static void merge_backward(struct hf_pieces *spans)
{
    bool previous = false;
    size_t kept = spans->count;
    for (size_t i = spans->count; i-- > 0;) {
        struct hf_piece span = spans->items[i];
        bool join = span.first && !previous;
        previous = span.first;
        if (join && kept < spans->count) {
            spans->items[kept].begin = span.begin;
            continue;
        }
        span.first = false;
        spans->items[--kept] = span;
    }
    spans->count -= kept;
    if (spans->count)
        memmove(spans->items, spans->items + kept, spans->count * sizeof *spans->items);
}

static bool split_piece(const struct hf_stage *stage, struct hf_cutter *c,
                        const struct hf_piece *piece)
{
    if (!find_spans(stage, c, piece)) return false;
    if (stage->behavior == HF_SPLIT_MERGED_NEXT)
        merge_backward(&c->spans);
    else if (stage->behavior == HF_SPLIT_CONTIGUOUS || stage->behavior == HF_SPLIT_MERGED_PREVIOUS)
        merge_forward(&c->spans, stage->behavior);
    for (size_t i = 0; i < c->spans.count; i++) {
        const struct hf_piece *span = &c->spans.items[i];
        if (span->begin == span->end) continue;
        if (stage->behavior == HF_SPLIT_REMOVED && span->first) continue;
        push_piece(&c->other_pieces, piece->begin + span->begin, piece->begin + span->end,
                   piece->first && span->begin == 0);
    }
    return true;
}

static void replace_spaces(struct str *out, const char *text, size_t len, const char *with)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ' ')
            str_append(out, with);
        else
            str_append_char(out, text[i]);
    }
}

// Writes a piece to the other text as the stage changes it.
static void transform_piece(const struct hf_stage *stage, struct hf_cutter *c,
                            const struct hf_piece *piece)
{
    const char *text = c->text.data + piece->begin;
    size_t len = piece->end - piece->begin, begin = c->other_text.len;
    if (stage->kind == HF_STAGE_MAP_BYTES) {
        hf_bytes_map(&c->other_text, text, len);
    } else if (stage->kind == HF_STAGE_REPLACE) {
        replace_spaces(&c->other_text, text, len, stage->prefix);
    } else {
        size_t prefix_len = strlen(stage->prefix);
        bool has = len >= prefix_len && memcmp(text, stage->prefix, prefix_len) == 0;
        if (!has && (piece->first || !stage->first_only)) str_append(&c->other_text, stage->prefix);
        str_append_bytes(&c->other_text, text, len);
    }
    push_piece(&c->other_pieces, begin, c->other_text.len, piece->first);
}

static bool run_stage(const struct hf_stage *stage, struct hf_cutter *c)
{
    c->other_pieces.count = 0;
    str_clear(&c->other_text);
    for (size_t i = 0; i < c->pieces.count; i++) {
        if (stage->kind != HF_STAGE_SPLIT)
            transform_piece(stage, c, &c->pieces.items[i]);
        else if (!split_piece(stage, c, &c->pieces.items[i]))
            return false;
    }
    struct hf_pieces pieces = c->pieces;
    c->pieces = c->other_pieces;
    c->other_pieces = pieces;
    if (stage->kind != HF_STAGE_SPLIT) {
        struct str text = c->text;
        c->text = c->other_text;
        c->other_text = text;
    }
    return true;
}

bool hf_stages_run(const struct hf_stages *stages, struct hf_cutter *c, const char *text,
                   size_t len, bool first)
{
    c->pieces.count = 0;
    str_clear(&c->text);
    if (!len) return true;
    str_append_bytes(&c->text, text, len);
    push_piece(&c->pieces, 0, len, first);
    if (!c->data) {
        c->data = pcre2_match_data_create(1, NULL);
        CHECK(c->data);
    }
    for (size_t i = 0; i < stages->count; i++)
        if (!run_stage(&stages->items[i], c)) return false;
    return true;
}

void hf_cutter_finish(struct hf_cutter *c)
{
    str_finish(&c->text);
    str_finish(&c->other_text);
    ARRAY_FREE(&c->pieces);
    ARRAY_FREE(&c->other_pieces);
    ARRAY_FREE(&c->spans);
    pcre2_match_data_free(c->data);
    c->data = NULL;
}
