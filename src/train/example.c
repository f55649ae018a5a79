// One row as the model will see it, so that a wrong template or a lost end token is seen at once.
#include "train/example.h"

#include "base/log.h"
#include "train/run.h"

#include <string.h>

// Escapes line breaks and cuts long texts in the middle, so that a text stays one readable line.
static void append_shown(struct str *out, const char *text, size_t len)
{
    const size_t limit = 400;
    for (size_t i = 0; i < len; i++) {
        if (len > limit && i == limit / 2) {
            i = len - limit / 2;
            while (i < len && ((unsigned char)text[i] & 0xC0) == 0x80)
                i++;
            str_append(out, " [...] ");
            if (i >= len) break;
        }
        if (text[i] == '\n')
            str_append(out, "\\n");
        else if (text[i] == '\r')
            str_append(out, "\\r");
        else
            str_append_char(out, text[i]);
    }
}

static void append_part(const struct hf_tokenizer *tokenizer, const char *name, const int32_t *ids,
                        uint32_t count, bool scored, struct str *out)
{
    struct str text = {0};
    hf_tokenizer_decode(tokenizer, ids, count, false, &text);
    str_appendf(out, "  %-9s%s", name, scored ? "[[" : "");
    append_shown(out, str_text(&text), text.len);
    str_appendf(out, "%s  (%u token%s%s)\n", scored ? "]]" : "", count, count == 1 ? "" : "s",
                scored ? ", scored" : "");
    str_finish(&text);
}

void train_example_text(const struct hf_tokenizer *tokenizer, const struct data_set *set,
                        const struct data_row *row, bool pairs, bool score_prompt, struct str *out)
{
    if (row->prompt)
        append_part(tokenizer, "prompt", data_prompt_ids(set, row), row->prompt, score_prompt, out);
    append_part(tokenizer, pairs ? "chosen" : "text", data_completion_ids(set, row, 0),
                row->completion[0], true, out);
    if (pairs)
        append_part(tokenizer, "rejected", data_completion_ids(set, row, 1), row->completion[1],
                    true, out);
}

void train_show_example(const struct train_run *run)
{
    const struct data_row *row = &run->train.rows.items[0];
    bool pairs = run->config->method == TRAIN_DPO;
    struct str text = {0};
    train_example_text(run->tokenizer, &run->train, row, pairs,
                       !pairs && !run->config->completion_only, &text);
    log_info("example: %s, line %u (scored tokens stand in [[ ]])", run->train.files[row->file],
             row->line);
    for (char *line = text.data, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        log_info("%s", line);
    }
    str_finish(&text);
}
