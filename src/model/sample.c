#include "model/sample.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

struct candidate {
    float logit;
    uint32_t id;
};

static int by_logit_descending(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int32_t greedy(const float *logits, uint32_t vocab)
{
    int32_t best = -1;
    for (uint32_t i = 0; i < vocab; i++)
        if (isfinite(logits[i]) && (best < 0 || logits[i] > logits[best])) best = (int32_t)i;
    return best;
}

// Cuts the sorted candidates to the smallest set whose probability reaches top_p.
static uint32_t nucleus(const double *weights, uint32_t count, double total, float top_p)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += weights[i];
        if (sum >= (double)top_p * total) return i + 1;
    }
    return count;
}

static int32_t draw(const struct candidate *c, const double *weights, uint32_t count,
                    double uniform)
{
    double total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += weights[i];
    double target = uniform * total, sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += weights[i];
        if (target < sum) return (int32_t)c[i].id;
    }
    return (int32_t)c[count - 1].id;
}

int32_t model_sample(const float *logits, uint32_t vocab, const struct model_sampling *settings,
                     uint64_t sequence, uint64_t index)
{
    if (settings->temperature <= 0) return greedy(logits, vocab);
    struct candidate *c = MEM_ARRAY(struct candidate, vocab);
    uint32_t count = 0;
    for (uint32_t i = 0; i < vocab; i++)
        if (isfinite(logits[i])) c[count++] = (struct candidate){logits[i], i};
    if (!count) {
        mem_free(c);
        return -1;
    }
    qsort(c, count, sizeof *c, by_logit_descending);
    if (settings->top_k && settings->top_k < count) count = settings->top_k;
    double *weights = MEM_ARRAY(double, count), total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += weights[i] =
            exp(((double)c[i].logit - (double)c[0].logit) / settings->temperature);
    if (settings->top_p > 0 && settings->top_p < 1)
        count = nucleus(weights, count, total, settings->top_p);
    struct rng rng = rng_begin(settings->seed, RNG_SAMPLE + (sequence << 8));
    rng.index = index * 2; // a uniform takes at most two words
    int32_t id = draw(c, weights, count, rng_uniform(&rng));
    mem_free(weights);
    mem_free(c);
    return id;
}
