// One row as the model will see it, so that a wrong template or a lost end token is seen at once.
#include "train/run.h"

#include "base/log.h"

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

static void show(const struct train_run *run, const char *name, const int32_t *ids, uint32_t count,
                 bool scored)
{
    struct str text = {0}, line = {0};
    hf_tokenizer_decode(run->tokenizer, ids, count, false, &text);
    append_shown(&line, str_text(&text), text.len);
    log_info("  %-9s%s%s%s  (%u token%s%s)", name, scored ? "[[" : "", str_text(&line),
             scored ? "]]" : "", count, count == 1 ? "" : "s", scored ? ", scored" : "");
    str_finish(&text);
    str_finish(&line);
}

void train_show_example(const struct train_run *run)
{
    const struct data_row *row = &run->train.rows.items[0];
    bool pairs = run->config->method == TRAIN_DPO;
    log_info("example: %s, line %u (scored tokens stand in [[ ]])", run->train.files[row->file],
             row->line);
    if (row->prompt)
        show(run, "prompt", data_prompt_ids(&run->train, row), row->prompt,
             !pairs && !run->config->completion_only);
    show(run, pairs ? "chosen" : "text", data_completion_ids(&run->train, row, 0),
         row->completion[0], true);
    if (pairs)
        show(run, "rejected", data_completion_ids(&run->train, row, 1), row->completion[1], true);
}
