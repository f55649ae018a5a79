// AdamW with moments in 8 bits. Sizes begin with: elements, bytes of a span of the weights.
//
// Weights and scales are judged like any output. A code may differ from the reference's where the
// exact value is so near the border of two codes that rounding errors before it decide.
#include "base/mem.h"
#include "ops/check/harness.h"
#include "ops/ref.h"
#include "ops/update.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum content {
    PLAIN,   // moments and gradients of about one size, some of them 0
    ZEROS,   // every other block has no gradient and no moments
    OUTLIERS // in every block one gradient is 10^12 times as large as the others
};

#define BETA1 0.9
#define BETA2 0.999

static const struct step_values step_of_all = {.loss_scale = NAN,
                                               .learning_rate = 0.01f,
                                               .correction1 = {0.271f, NAN, NAN},
                                               .correction2 = {0.002997f, NAN, NAN}};

// Weights, codes and scales, on the host.
struct state {
    double *weight, *scales;
    uint8_t *m, *v;
};

struct coded_case {
    struct check_array *weight, *grad, *m, *v, *scales, *decay, *step, *results;
    // Of several steps: the gradients of those behind the first, and what each step left.
    struct check_array *grads, *left;
    uint32_t steps;
    uint64_t count;
    struct op_adamw_8bit op;
};

static const uint8_t *bytes_of(const struct check_array *a)
{
    return (const uint8_t *)a->f32;
}

// Codes, four to a word.
static struct check_array *codes(struct check *c, const char *name, const uint32_t *n)
{
    struct check_array *a = check_spans(c, name, CHECK_SCRATCH, n[0] / 4, n[1] / 4, 1);
    uint8_t *bytes = (uint8_t *)a->f32;
    for (uint64_t i = 0; i < n[0]; i++)
        bytes[i] = (uint8_t)rng_u32(&c->rng);
    return a;
}

static bool is_zero_block(enum content content, uint64_t block)
{
    return content == ZEROS && block % 2 == 0;
}

static void fill(struct check *c, struct coded_case *k, enum content content)
{
    uint8_t *m = (uint8_t *)k->m->f32, *v = (uint8_t *)k->v->f32;
    for (uint64_t i = 0; i < k->count; i++) {
        bool none = is_zero_block(content, i / 256) || i % 14 == 7;
        if (m[i] == 128) m[i] = 129;
        if (none) m[i] = v[i] = 0;
        // sqrt(v) is of m's size at least, as in training: without that steps are as large as one
        // likes, and so are their rounding errors.
        int size = m[i] < 128 ? m[i] : 256 - m[i];
        if (!none && v[i] <= 2 * size) v[i] = (uint8_t)(2 * size + 1);
        if (none) k->grad->f32[i] = 0;
        if (content == OUTLIERS && i % 256 == 100) k->grad->f32[i] *= 1e12f;
        k->grad->f64[i] = (double)k->grad->f32[i];
    }
    if (k->grad->type == OP_BF16) check_store_bf16(k->grad);
    for (uint64_t b = 0; b < k->count / 256; b++) {
        bool none = is_zero_block(content, b);
        k->scales->f32[2 * b] = none ? 0 : (float)(0.01 + 0.2 * rng_uniform(&c->rng));
        k->scales->f32[2 * b + 1] = k->scales->f32[2 * b];
    }
}

static struct op_arena codes_of(struct check *c, const struct check_array *a)
{
    return c->device_failed ? (struct op_arena){0} : op_code_arena_of(a->arena);
}

// Third size: 1 if a bit array says which blocks decay; fourth: enum content.
static void arrays(struct check *c, const uint32_t *n, struct coded_case *k,
                   const struct step_results *results)
{
    *k = (struct coded_case){.count = n[0], .steps = 1};
    k->weight = check_master_spans(c, "weight", CHECK_SCRATCH, n[0], n[1], 0.02);
    k->grad = check_gradient_spans(c, "grad", CHECK_OUTPUT, n[0], n[1], 0.1);
    k->m = codes(c, "m", n);
    k->v = codes(c, "v", n);
    k->scales = check_floats(c, "scales", n[0] / 256 * 2);
    k->scales->role = CHECK_SCRATCH;
    fill(c, k, (enum content)n[3]);
    k->step = check_words(c, "step", sizeof step_of_all / 4);
    memcpy(k->step->u32, &step_of_all, sizeof step_of_all);
    k->results = check_words(c, "results", sizeof *results / 4);
    memcpy(k->results->u32, results, sizeof *results);
    if (n[2]) {
        k->decay = check_words(c, "decay", (n[0] / 256 + 31) / 32);
        for (uint64_t i = 0; i < k->decay->count; i++)
            k->decay->u32[i] = rng_u32(&c->rng);
    }
    k->op = (struct op_adamw_8bit){.weight = check_arena(c, k->weight),
                                   .grad = check_arena(c, k->grad),
                                   .m = codes_of(c, k->m),
                                   .v = codes_of(c, k->v),
                                   .scales = k->scales->addr,
                                   .step = k->step->addr,
                                   .results = k->results->addr,
                                   .decay = n[2] ? k->decay->addr : 0,
                                   .beta1 = BETA1,
                                   .beta2 = BETA2,
                                   .epsilon = 1e-8f,
                                   .weight_decay = 0.1f};
    check_cost(c, 60.0 * n[0], (20.0 + 16.0 / 256) * n[0]);
}

// ---- judging ----

static struct state new_state(uint64_t count)
{
    return (struct state){MEM_ARRAY(double, count), MEM_ARRAY(double, count / 256 * 2),
                          MEM_ARRAY(uint8_t, count), MEM_ARRAY(uint8_t, count)};
}

static void free_state(struct state *s)
{
    mem_free(s->weight);
    mem_free(s->scales);
    mem_free(s->m);
    mem_free(s->v);
}

static void fill_state(struct state *to, const uint8_t *weight, const uint8_t *m, const uint8_t *v,
                       const uint8_t *scales, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        float value;
        memcpy(&value, weight + 4 * i, 4);
        to->weight[i] = (double)value;
    }
    for (uint64_t i = 0; i < count / 256 * 2; i++) {
        float value;
        memcpy(&value, scales + 4 * i, 4);
        to->scales[i] = (double)value;
    }
    memcpy(to->m, m, count);
    memcpy(to->v, v, count);
}

// Whether `got` is the code of a share that is known up to `error`.
static bool code_fits(int got, double share, double error, int (*code_of)(double))
{
    return got >= code_of(share > error ? share - error : 0) && got <= code_of(share + error);
}

static void judge_code_pair(struct check *c, uint64_t i, const struct state *after,
                            const struct state *want, const double *m_terms, const double *root)
{
    // m_terms: its value and the sum of its terms' sizes, of which its rounding errors are.
    const double *scales = &want->scales[i / 256 * 2];
    int k = after->m[i] < 128 ? after->m[i] : after->m[i] - 256;
    double error = 2e-6 * m_terms[1];
    bool fits = scales[0] > 0 ? code_fits(abs(k), fabs(m_terms[0]) / scales[0], error / scales[0],
                                          ref_8bit_first_code_f64)
                              : k == 0;
    if (fabs(m_terms[0]) > error) fits = fits && (k == 0 || (k < 0) == (m_terms[0] < 0));
    if (!fits)
        check_fail(c, "m[%llu] has code %d, want %d", (unsigned long long)i, k,
                   want->m[i] < 128 ? want->m[i] : want->m[i] - 256);
    fits = scales[1] > 0 ? code_fits(after->v[i], *root / scales[1], 2e-6 * *root / scales[1],
                                     ref_8bit_root_code_f64)
                         : after->v[i] == 0;
    if (!fits)
        check_fail(c, "v[%llu] has code %d, want %d", (unsigned long long)i, after->v[i],
                   want->v[i]);
}

static void judge_weights(struct check *c, const double *got, const double *want, uint64_t count)
{
    double error = 0, power = 0, worst = 0;
    for (uint64_t i = 0; i < count; i++) {
        double e = fabs(got[i] - want[i]);
        if (!(e <= worst)) worst = e; // NaN too
        error += e * e;
        power += want[i] * want[i];
    }
    double nmse = error / power, relative = worst / sqrt(power / (double)count);
    if (!(nmse <= c->result->nmse)) c->result->nmse = nmse;
    if (!(relative <= c->result->worst)) c->result->worst = relative;
    if (!(nmse <= c->tolerance_nmse && relative <= c->tolerance_worst))
        check_fail(c, "weight: nmse %.2e (limit %.0e), worst %.2e (limit %.0e)", nmse,
                   c->tolerance_nmse, relative, c->tolerance_worst);
}

// Judges one step by what the reference makes of the device's own state before it.
static void judge_step(struct check *c, const struct coded_case *k, const struct state *before,
                       const float *gradient, const struct state *after)
{
    struct step_results results;
    struct state want = new_state(k->count);
    double *m = MEM_ARRAY(double, k->count), *root = MEM_ARRAY(double, k->count);
    double *grad = MEM_ARRAY(double, k->count);
    memcpy(&results, k->results->u32, sizeof results);
    memcpy(want.weight, before->weight, k->count * sizeof *want.weight);
    memcpy(want.scales, before->scales, k->count / 256 * 2 * sizeof *want.scales);
    memcpy(want.m, before->m, k->count);
    memcpy(want.v, before->v, k->count);
    for (uint64_t i = 0; i < k->count; i++)
        grad[i] = (double)gradient[i];
    ref_adamw_8bit_f64(
        &(struct ref_adamw_8bit_f64){.weight = want.weight,
                                     .grad = grad,
                                     .m = want.m,
                                     .v = want.v,
                                     .scales = want.scales,
                                     .exact_m = m,
                                     .exact_root = root,
                                     .count = k->count,
                                     .decay = k->decay ? k->decay->u32 : NULL,
                                     .clip_factor = (double)results.clip_factor,
                                     .learning_rate = (double)step_of_all.learning_rate,
                                     .correction1 = (double)step_of_all.correction1[0],
                                     .correction2 = (double)step_of_all.correction2[0],
                                     .beta1 = k->op.beta1,
                                     .beta2 = k->op.beta2,
                                     .epsilon = (double)k->op.epsilon,
                                     .weight_decay = (double)k->op.weight_decay});
    for (uint64_t i = 0; i < k->count; i++) {
        double old = ref_8bit_first_f64(before->m[i], before->scales[i / 256 * 2]);
        double g = (double)gradient[i] * (double)results.clip_factor;
        const double terms[2] = {m[i], fabs(BETA1 * old) + fabs((1 - BETA1) * g)};
        judge_code_pair(c, i, after, &want, terms, &root[i]);
    }
    for (uint64_t i = 0; i < k->count / 256 * 2; i++)
        if (!(fabs(after->scales[i] - want.scales[i]) <= 1e-6 * want.scales[i]))
            check_fail(c, "scales[%llu] is %.9g, want %.9g", (unsigned long long)i,
                       after->scales[i], want.scales[i]);
    judge_weights(c, after->weight, want.weight, k->count);
    free_state(&want);
    mem_free(m);
    mem_free(root);
    mem_free(grad);
}

// ---- the cases ----

// Bytes that a step leaves: weights, codes of m, of v, scales.
static uint64_t left_bytes(const struct coded_case *k)
{
    return k->count * 6 + k->count / 256 * OP_ADAMW_8BIT_SCALE_BYTES;
}

static void record_steps(struct vk_seq *s, void *ctx)
{
    const struct coded_case *k = ctx;
    for (uint32_t i = 0; i < k->steps; i++) {
        if (i)
            vk_copy(s, k->grad->arena->spans[0].addr, k->grads->addr + (i - 1) * k->count * 4,
                    k->count * 4);
        op_adamw_8bit(s, &k->op);
        if (k->steps == 1) break;
        vk_addr to = k->left->addr + i * left_bytes(k);
        vk_copy(s, to, k->weight->arena->spans[0].addr, k->count * 4);
        vk_copy(s, to + k->count * 4, k->m->arena->spans[0].addr, k->count);
        vk_copy(s, to + k->count * 5, k->v->arena->spans[0].addr, k->count);
        vk_copy(s, to + k->count * 6, k->scales->addr, k->count / 256 * OP_ADAMW_8BIT_SCALE_BYTES);
    }
}

static void run_and_judge(struct check *c, struct coded_case *k)
{
    for (uint64_t i = 0; i < k->count; i++)
        k->grad->f64[i] = 0;
    check_run(c, record_steps, k);
    if (c->device_failed || !c->judged) return;
    const struct check_array *all[] = {k->weight, k->m, k->v, k->scales};
    for (size_t i = 0; i < 4; i++)
        if (memcmp(all[i]->got, all[i]->again, all[i]->count * 4) != 0)
            check_fail(c, "%s: two runs differ", all[i]->name);
    struct state before = new_state(k->count), after = new_state(k->count);
    fill_state(&before, bytes_of(k->weight), bytes_of(k->m), bytes_of(k->v), bytes_of(k->scales),
               k->count);
    for (uint32_t i = 0; i < k->steps; i++) {
        if (k->steps == 1)
            fill_state(&after, k->weight->got, k->m->got, k->v->got, k->scales->got, k->count);
        else {
            const uint8_t *from = k->left->got + i * left_bytes(k);
            fill_state(&after, from, from + k->count * 4, from + k->count * 5, from + k->count * 6,
                       k->count);
        }
        judge_step(c, k, &before, i ? k->grads->f32 + (i - 1) * k->count : k->grad->f32, &after);
        struct state swap = before;
        before = after, after = swap;
    }
    free_state(&before);
    free_state(&after);
}

static const struct step_results usual = {.grad_norm = 3, .clip_factor = 0.37f};

static void adamw_8bit(struct check *c, const uint32_t *n)
{
    struct coded_case k;
    arrays(c, n, &k, &usual);
    run_and_judge(c, &k);
}

// Several steps in a row, from moments of zero as training starts; in one span. Fifth size: steps.
static void adamw_8bit_steps(struct check *c, const uint32_t *n)
{
    struct coded_case k;
    arrays(c, n, &k, &usual);
    memset(k.m->f32, 0, k.count);
    memset(k.v->f32, 0, k.count);
    memset(k.scales->f32, 0, k.count / 256 * OP_ADAMW_8BIT_SCALE_BYTES);
    k.steps = n[4];
    k.grads = check_normal(c, "grads", (k.steps - 1) * k.count, 0.1);
    for (uint64_t i = 0; i < k.grads->count; i++) {
        // Gradients shrink and grow from step to step, and some are 0 in each.
        float size = i / k.count % 2 ? 0.01f : 10.0f;
        k.grads->f32[i] *= rng_below(&c->rng, 5) == 0 ? 0.0f : size;
    }
    k.left = check_scratch(c, "left", k.steps * left_bytes(&k));
    run_and_judge(c, &k);
}

// What float squares cannot hold: scales and codes stay finite, and so does the weight.
static void adamw_8bit_edges(struct check *c, const uint32_t *n)
{
    const float edges[] = {3e38f, -3e38f, 1e20f, 1e-20f, -1e-30f, 1e-38f, 0};
    struct coded_case k;
    arrays(c, n, &k, &usual);
    k.steps = 1;
    for (uint64_t i = 0; i < k.count; i++) {
        k.grad->f32[i] = edges[i / 256 % 2 ? i % 7 : 3 + i % 4];
        k.grad->f64[i] = 0;
    }
    check_run(c, record_steps, &k);
    if (c->device_failed) return;
    struct state after = new_state(k.count);
    fill_state(&after, k.weight->got, k.m->got, k.v->got, k.scales->got, k.count);
    for (uint64_t i = 0; i < k.count; i++)
        if (!(fabs(after.weight[i]) < 100))
            check_fail(c, "weight[%llu] is %g", (unsigned long long)i, after.weight[i]);
    for (uint64_t i = 0; i < k.count / 256 * 2; i++)
        if (!(after.scales[i] >= 0 && after.scales[i] < 1e38))
            check_fail(c, "scales[%llu] is %g", (unsigned long long)i, after.scales[i]);
    free_state(&after);
}

// A step with gradients that are not finite changes nothing, the gradient included.
static void adamw_8bit_skipped(struct check *c, const uint32_t *n)
{
    const struct step_results bad = {.grad_norm = NAN, .clip_factor = 1, .nonfinite = 1};
    struct coded_case k;
    arrays(c, n, &k, &bad);
    struct check_array *all[] = {k.weight, k.grad, k.m, k.v, k.scales};
    for (size_t a = 0; a < 5; a++) {
        all[a]->role = CHECK_OUTPUT;
        for (uint64_t i = 0; i < all[a]->count; i++)
            all[a]->f64[i] = (double)NAN;
    }
    check_run(c, record_steps, &k);
}

// ---- the table ----

#define SPAN_1G (1u << 30)
#define LETTERS "N span decay content"
// Weights as master halves.
#define BF16_ROWS(type)                                                                            \
    CHECK_CASE_AS(type, "adamw_8bit", adamw_8bit, LETTERS, 256, SPAN_1G, 0, PLAIN),                \
        CHECK_CASE_AS(type, "adamw_8bit", adamw_8bit, LETTERS, 256 * 33, 8192, 1, ZEROS),          \
        CHECK_CASE_AS(type, "adamw_8bit", adamw_8bit, LETTERS, 256 * 35, SPAN_1G, 1, OUTLIERS),    \
        CHECK_CASE_AS(type, "adamw_8bit_skipped", adamw_8bit_skipped, LETTERS, 256 * 33, 8192, 1,  \
                      PLAIN)

static const struct check_case cases[] = {
    CHECK_CASE("adamw_8bit", adamw_8bit, LETTERS, 256, SPAN_1G, 0, PLAIN),
    CHECK_CASE("adamw_8bit", adamw_8bit, LETTERS, 256 * 31, 4096, 1, PLAIN),
    CHECK_CASE("adamw_8bit", adamw_8bit, LETTERS, 256 * 33, 8192, 0, ZEROS),
    CHECK_CASE("adamw_8bit", adamw_8bit, LETTERS, 256 * 35, SPAN_1G, 1, OUTLIERS),
    CHECK_CASE("adamw_8bit", adamw_8bit, LETTERS, 256 * 1025, 65536, 1, PLAIN),
    BF16_ROWS(CHECK_BF16),
    BF16_ROWS(CHECK_BF16_GRADS),
    CHECK_TIMED("adamw_8bit", adamw_8bit, LETTERS, 16 << 20, SPAN_1G, 1, PLAIN),
    CHECK_CASE("adamw_8bit_steps", adamw_8bit_steps, LETTERS " steps", 256 * 33, SPAN_1G, 1, PLAIN,
               6),
    CHECK_CASE("adamw_8bit_steps", adamw_8bit_steps, LETTERS " steps", 256 * 5, SPAN_1G, 0, ZEROS,
               4),
    CHECK_CASE("adamw_8bit_edges", adamw_8bit_edges, LETTERS, 256 * 4, SPAN_1G, 0, PLAIN),
    CHECK_CASE("adamw_8bit_skipped", adamw_8bit_skipped, LETTERS, 256 * 33, 8192, 1, PLAIN),
};
const struct check_table check_adamw_8bit = {cases, sizeof cases / sizeof *cases};
