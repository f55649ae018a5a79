#include "data/truncate.h"

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void keep_start(struct data_parts *p, size_t max)
{
    for (int i = 0; i < 2; i++)
        if (p->completion[i] > max - p->prompt) p->completion[i] = max - p->prompt;
}

static void keep_end(struct data_parts *p, size_t max, size_t head)
{
    size_t longer = larger(p->completion[0], p->completion[1]);
    size_t least = p->prompt < 1 ? 0 : larger(head, 1);
    size_t prompt = longer < max ? max - longer : 0;
    if (prompt < least) prompt = least;
    if (prompt < p->prompt) {
        p->prompt_begin = p->prompt - (prompt - head);
        p->prompt = prompt;
    }
    for (int i = 0; i < 2; i++) {
        if (p->completion[i] <= max - p->prompt) continue;
        p->begin[i] += p->completion[i] - (max - p->prompt);
        p->completion[i] = max - p->prompt;
    }
}

bool data_truncate(struct data_parts *p, size_t max, enum data_truncation how, size_t head)
{
    if (!max || p->prompt + larger(p->completion[0], p->completion[1]) <= max) return false;
    if (how == DATA_KEEP_END && max > 1)
        keep_end(p, max, head);
    else if (p->prompt < max)
        keep_start(p, max);
    return true;
}
