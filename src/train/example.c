// One row as the model will see it, so that a wrong template or a lost end token is seen at once.
#include "train/example.h"

#include "base/log.h"
#include "train/run.h"

#include <string.h>

// Escapes line breaks and other control characters, and cuts long texts in the middle, so that a
// text stays one readable line.
static void append_shown(struct str *out, const char *text, size_t len)
{
    const size_t limit = 400;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (len > limit && i >= limit / 2 && i < len - limit / 2 && (c & 0xC0) != 0x80) {
            i = len - limit / 2;
            while (i < len && ((unsigned char)text[i] & 0xC0) == 0x80)
                i++;
            str_append(out, " [...] ");
            if (i >= len) break;
            c = (unsigned char)text[i];
        }
        if (c == '\n')
            str_append(out, "\\n");
        else if (c == '\r')
            str_append(out, "\\r");
        else if (c < 0x20 || c == 0x7F)
            str_appendf(out, "\\x%02x", c);
        else
            str_append_char(out, text[i]);
    }
}

static void append_tokens(const struct hf_tokenizer *tokenizer, const int32_t *ids, uint32_t count,
                          struct str *out)
{
    struct str text = {0};
    if (hf_tokenizer_decode(tokenizer, ids, count, false, &text))
        append_shown(out, str_text(&text), text.len);
    else
        str_append(out, "(cannot be decoded)");
    str_finish(&text);
}

// A part of the row, of whose tokens all but the first `unscored` are scored.
static void append_part(const struct hf_tokenizer *tokenizer, const char *name, const int32_t *ids,
                        uint32_t count, uint32_t unscored, struct str *out)
{
    str_appendf(out, "  %-9s", name);
    if (unscored) append_tokens(tokenizer, ids, unscored, out);
    if (unscored < count) {
        str_append(out, "[[");
        append_tokens(tokenizer, ids + unscored, count - unscored, out);
        str_append(out, "]]");
    }
    str_appendf(out, "  (%u token%s, %u scored)\n", count, count == 1 ? "" : "s", count - unscored);
}

void train_example_text(const struct hf_tokenizer *tokenizer, const struct data_set *set,
                        const struct data_row *row, bool score_prompt, struct str *out)
{
    bool pairs = set->kind == DATA_PAIRS;
    // The first token of all has nothing that predicts it.
    uint32_t unscored = row->prompt ? 0 : 1;
    if (row->prompt)
        append_part(tokenizer, "prompt", data_prompt_ids(set, row), row->prompt,
                    score_prompt ? 1 : row->prompt, out);
    append_part(tokenizer, pairs ? "chosen" : "text", data_completion_ids(set, row, 0),
                row->completion[0], unscored, out);
    if (pairs)
        append_part(tokenizer, "rejected", data_completion_ids(set, row, 1), row->completion[1],
                    unscored, out);
    if (set->kind == DATA_UNPAIRED)
        str_appendf(out, "  label    %s\n", row->label ? "desirable" : "undesirable");
}

void train_show_example(const struct train_run *run)
{
    const struct data_row *row = &run->train.rows.items[0];
    bool texts = run->train.kind == DATA_TEXTS;
    struct str text = {0};
    train_example_text(run->tokenizer, &run->train, row, texts && !run->config->completion_only,
                       &text);
    log_info("example: %s, line %u (scored tokens stand in [[ ]])", run->train.files[row->file],
             row->line);
    for (char *line = text.data, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        log_info("%s", line);
    }
    str_finish(&text);
}
