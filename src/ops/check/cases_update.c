#include "ops/check/harness.h"
#include "ops/ref.h"
#include "ops/update.h"

#include <float.h>
#include <math.h>
#include <string.h>

// Sizes begin with: elements, bytes of a span.

static void set(struct check_array *a, uint64_t i, float value)
{
    a->f32[i] = value;
    a->f64[i] = (double)value;
}

// A value of its own: judged by itself, not against the size of others.
static void near(struct check *c, const char *name, float got, double want, double tolerance)
{
    double error = fabs((double)got - want);
    if (!(error <= tolerance * fabs(want)))
        check_fail(c, "%s is %.9g, want %.9g", name, (double)got, want);
}

// Results of a step without a loss scale, what the step writes not yet there.
static struct check_array *step_results(struct check *c)
{
    struct check_array *a = check_scratch(c, "results", sizeof(struct step_results));
    a->u32[offsetof(struct step_results, grad_scale) / 4] = 0;
    return a;
}

static bool same_bits(const struct check_array *a, const void *want)
{
    return memcmp(a->got, want, a->count * 4) == 0 && memcmp(a->again, want, a->count * 4) == 0;
}

// ---- gradient norm ----

CHECK_RECORD(op_grad_norm, op_grad_norm)
// Runs and judges; the gradient is filled.
static void judge_norm(struct check *c, struct check_array *grad, float max_norm)
{
    if (grad->type == OP_BF16) check_store_bf16(grad);
    struct check_array *results = step_results(c);
    struct check_array *partial = check_scratch(c, "partial", OP_GRAD_NORM_PARTIAL_BYTES);
    struct op_grad_norm op = {check_arena(c, grad), results->addr, partial->addr, max_norm};
    struct ref_grad_norm_f64 ref = {grad->f64, grad->count, (double)max_norm, 0, 0, 0};
    struct step_results got;
    if (c->judged) ref_grad_norm_f64(&ref);
    check_cost(c, 3.0 * (double)grad->count, 4.0 * (double)grad->count);
    check_run(c, record_op_grad_norm, &op);
    if (c->device_failed || !c->judged) return;
    if (memcmp(results->got, results->again, sizeof got) != 0)
        check_fail(c, "results: two runs differ");
    memcpy(&got, results->got, sizeof got);
    if (got.nonfinite != ref.nonfinite)
        check_fail(c, "%u gradients are not finite, want %u", got.nonfinite, ref.nonfinite);
    if (ref.nonfinite == 0) {
        near(c, "grad_norm", got.grad_norm, ref.norm, 1e-6);
        near(c, "clip_factor", got.clip_factor, ref.clip_factor, 1e-6);
    } else if (isfinite(got.grad_norm))
        check_fail(c, "grad_norm is %g where it should be NaN", (double)got.grad_norm);
    if (memcmp(results->got + offsetof(struct step_results, ref_updates), &results->u32[0], 4) != 0)
        check_fail(c, "ref_updates was changed");
}

// Third and fourth size: the power of ten of the gradients, max_norm in hundredths.
static void grad_norm(struct check *c, const uint32_t *n)
{
    struct check_array *grad =
        check_gradient_spans(c, "grad", CHECK_INPUT, n[0], n[1], pow(10, (double)n[2] - 10));
    judge_norm(c, grad, (float)n[3] / 100);
}

// Third size: how many elements are not finite.
static void grad_norm_nonfinite(struct check *c, const uint32_t *n)
{
    const uint32_t kinds[] = {0x7f800000u, 0xff800000u, 0x7fc00000u, 0x7f800001u, 0xffffffffu};
    struct check_array *grad = check_gradient_spans(c, "grad", CHECK_INPUT, n[0], n[1], 1);
    set(grad, 1, FLT_MAX); // is finite
    for (uint32_t i = 0; i < n[2]; i++) {
        uint64_t at = n[2] == 1 ? n[0] - 1 : (uint64_t)i * (n[0] / n[2]);
        memcpy(&grad->f32[at], &kinds[i % 5], 4);
        grad->f64[at] = (double)NAN;
    }
    judge_norm(c, grad, 1);
}

// Squares at both ends of what a float holds.
static void grad_norm_edges(struct check *c, const uint32_t *n)
{
    struct check_array *grad = check_gradient_spans(c, "grad", CHECK_INPUT, n[0], n[1], 0);
    set(grad, 0, 1e-40f);
    set(grad, n[0] - 1, -1e-40f);
    set(grad, n[0] / 2, 1.5e19f);
    judge_norm(c, grad, 1);
}

// With a loss scale: third size its log2, fourth how long it has been steady, fifth whether a
// gradient is not finite. Norm and factor are those of the gradient without it.
static void grad_norm_scaled(struct check *c, const uint32_t *n)
{
    struct check_array *grad = check_gradient_spans(c, "grad", CHECK_INPUT, n[0], n[1], 1);
    float scale = ldexpf(1, (int)n[2]), factor = 0.25f;
    if (n[4]) grad->f32[n[0] / 2] = INFINITY;
    struct check_array *results = step_results(c);
    struct step_results before = {.ref_updates = 5,
                                  .grad_scale = scale,
                                  .steady = n[3],
                                  .skipped = 7},
                        got;
    memcpy(results->u32, &before, sizeof before);
    struct check_array *partial = check_scratch(c, "partial", OP_GRAD_NORM_PARTIAL_BYTES);
    struct ref_grad_norm_f64 ref = {grad->f64, grad->count, 0, 0, 0, 0};
    if (c->judged) ref_grad_norm_f64(&ref);
    struct op_grad_norm op = {check_arena(c, grad), results->addr, partial->addr,
                              factor * (float)ref.norm / scale};
    check_run(c, record_op_grad_norm, &op);
    if (c->device_failed || !c->judged) return;
    memcpy(&got, results->got, sizeof got);
    if (!n[4]) {
        double norm = ref.norm / (double)scale;
        near(c, "grad_norm", got.grad_norm, norm, 1e-6);
        near(c, "clip_factor", got.clip_factor, (double)op.max_norm / (norm + 1e-6) / (double)scale,
             1e-6);
    }
    bool grows = !n[4] && n[3] + 1 == LOSS_SCALE_GROWTH;
    float next = n[4] ? fmaxf(scale / 2, 1) : grows ? fminf(scale * 2, LOSS_SCALE_MOST) : scale;
    uint32_t steady = n[4] || grows ? 0 : n[3] + 1;
    if (got.grad_scale != next || got.steady != steady || got.skipped != 7 + n[4] ||
        got.nonfinite != n[4] || got.ref_updates != 5)
        check_fail(c, "scale %g steady %u skipped %u nonfinite %u, want %g %u %u %u",
                   (double)got.grad_scale, got.steady, got.skipped, got.nonfinite, (double)next,
                   steady, 7 + n[4], n[4]);
}

CHECK_RECORD(op_scale_by_loss, op_scale_by_loss)
// Sizes: count, in use, log2 of the scale.
static void scale_by_loss(struct check *c, const uint32_t *n)
{
    struct check_array *y = check_updated(c, "y", n[0], 1);
    struct check_array *results = step_results(c);
    struct step_results before = {.grad_scale = ldexpf(1, (int)n[2])};
    memcpy(results->u32, &before, sizeof before);
    struct op_scale_by_loss op = {.y = y->addr,
                                  .results = results->addr,
                                  .count = n[0],
                                  .live = n[1] ? check_word(c, "live", n[1])->addr : 0};
    for (uint32_t i = 0; i < n[0]; i++)
        y->f64[i] = n[1] && i >= n[1] ? (double)NAN : y->f64[i] * (double)before.grad_scale;
    check_run(c, record_op_scale_by_loss, &op);
}

// ---- AdamW ----

struct adamw_case {
    struct check_array *weight, *grad, *m, *v, *decay, *step, *results;
    struct op_adamw op;
};

static const struct step_values adamw_step = {.loss_scale = NAN,
                                              .learning_rate = 0.01f,
                                              .correction1 = {0.271f, NAN, NAN},
                                              .correction2 = {0.002997f, NAN, NAN}};

// Third size: 1 if a bit array says which blocks decay.
static void adamw_arrays(struct check *c, const uint32_t *n, struct adamw_case *k,
                         const struct step_results *results)
{
    k->weight = check_master_spans(c, "weight", CHECK_OUTPUT, n[0], n[1], 0.02);
    k->grad = check_gradient_spans(c, "grad", CHECK_OUTPUT, n[0], n[1], 0.1);
    k->m = check_spans(c, "m", CHECK_OUTPUT, n[0], n[1], 0.1);
    k->v = check_spans(c, "v", CHECK_OUTPUT, n[0], n[1], 0.01);
    for (uint64_t i = 0; i < n[0]; i++)
        set(k->v, i, fabsf(k->v->f32[i]));
    for (uint64_t i = 0; i < n[0]; i += 7) // padding, and tokens not seen yet
        if (i % 2) {
            set(k->grad, i, 0);
            set(k->m, i, 0);
            set(k->v, i, 0);
        }
    k->step = check_words(c, "step", sizeof adamw_step / 4);
    memcpy(k->step->u32, &adamw_step, sizeof adamw_step);
    k->results = check_words(c, "results", sizeof *results / 4);
    memcpy(k->results->u32, results, sizeof *results);
    if (n[2]) {
        k->decay = check_words(c, "decay", (n[0] / 256 + 31) / 32);
        for (uint64_t i = 0; i < k->decay->count; i++)
            k->decay->u32[i] = rng_u32(&c->rng);
    }
    k->op = (struct op_adamw){.weight = check_arena(c, k->weight),
                              .grad = check_arena(c, k->grad),
                              .m = check_arena(c, k->m),
                              .v = check_arena(c, k->v),
                              .step = k->step->addr,
                              .results = k->results->addr,
                              .decay = n[2] ? k->decay->addr : 0,
                              .beta1 = 0.9,
                              .beta2 = 0.999,
                              .epsilon = 1e-8f,
                              .weight_decay = 0.1f};
    check_cost(c, 18.0 * n[0], 32.0 * n[0]);
}

CHECK_RECORD(op_adamw, op_adamw)
// `skips`: steps skipped that the host did not know of.
static void adamw_step_after(struct check *c, const uint32_t *n, uint32_t skips)
{
    struct step_results results = {.grad_norm = 3, .clip_factor = 0.37f, .skipped = 7 + skips};
    struct step_values values = adamw_step;
    struct adamw_case k;
    adamw_arrays(c, n, &k, &results);
    values.correction1[0] = values.correction2[0] = NAN;
    values.correction1[skips] = adamw_step.correction1[0];
    values.correction2[skips] = adamw_step.correction2[0];
    values.skipped = 7;
    memcpy(k.step->u32, &values, sizeof values);
    if (c->judged)
        ref_adamw_f64(&(struct ref_adamw_f64){.weight = k.weight->f64,
                                              .grad = k.grad->f64,
                                              .m = k.m->f64,
                                              .v = k.v->f64,
                                              .count = n[0],
                                              .decay = n[2] ? k.decay->u32 : NULL,
                                              .clip_factor = (double)results.clip_factor,
                                              .learning_rate = (double)adamw_step.learning_rate,
                                              .correction1 = (double)adamw_step.correction1[0],
                                              .correction2 = (double)adamw_step.correction2[0],
                                              .beta1 = k.op.beta1,
                                              .beta2 = k.op.beta2,
                                              .epsilon = (double)k.op.epsilon,
                                              .weight_decay = (double)k.op.weight_decay});
    check_run(c, record_op_adamw, &k.op);
}

static void adamw(struct check *c, const uint32_t *n)
{
    adamw_step_after(c, n, 0);
}

static void adamw_after_skips(struct check *c, const uint32_t *n)
{
    adamw_step_after(c, n, n[3]);
}

// A step with gradients that are not finite changes nothing, the gradient included.
static void adamw_skipped(struct check *c, const uint32_t *n)
{
    struct step_results results = {.grad_norm = NAN, .clip_factor = 1, .nonfinite = 1};
    struct adamw_case k;
    adamw_arrays(c, n, &k, &results);
    struct check_array *arrays[] = {k.weight, k.grad, k.m, k.v};
    for (size_t a = 0; a < 4; a++)
        for (uint64_t i = 0; i < n[0]; i++)
            arrays[a]->f64[i] = (double)NAN;
    check_run(c, record_op_adamw, &k.op);
}

// With a loss scale such a step clears the gradient.
static void adamw_cleared(struct check *c, const uint32_t *n)
{
    struct step_results results = {
        .grad_norm = NAN, .clip_factor = 1, .nonfinite = 1, .grad_scale = 2};
    struct adamw_case k;
    adamw_arrays(c, n, &k, &results);
    struct check_array *arrays[] = {k.weight, k.m, k.v};
    for (size_t a = 0; a < 3; a++)
        for (uint64_t i = 0; i < n[0]; i++)
            arrays[a]->f64[i] = (double)NAN;
    for (uint64_t i = 0; i < n[0]; i++)
        k.grad->f64[i] = 0;
    check_run(c, record_op_adamw, &k.op);
}

// ---- reference update ----

CHECK_RECORD(op_ref_update, op_ref_update)
// Third size: alpha in thousandths.
static void ref_update_arrays(struct check *c, const uint32_t *n, enum check_role role,
                              struct check_array **ref, struct check_array **policy,
                              struct check_array **results, struct op_ref_update *op)
{
    *ref = check_master_spans(c, "ref", role, n[0], n[1], 1);
    *policy = check_master_spans(c, "policy", CHECK_INPUT, n[0], n[1], 1);
    *results = step_results(c);
    (*results)->u32[3] = 41;
    *op = (struct op_ref_update){check_arena(c, *ref), check_arena(c, *policy), (*results)->addr,
                                 (float)n[2] / 1000};
    check_cost(c, 3.0 * n[0], 12.0 * n[0]);
}

static void count_update(struct check *c, const struct check_array *results)
{
    struct step_results got;
    if (c->device_failed) return;
    memcpy(&got, results->got, sizeof got);
    if (got.ref_updates != 42) check_fail(c, "ref_updates is %u, want 42", got.ref_updates);
    if (memcmp(results->got, results->u32, offsetof(struct step_results, ref_updates)) != 0)
        check_fail(c, "other results were changed");
}

static void ref_update(struct check *c, const uint32_t *n)
{
    struct check_array *ref, *policy, *results;
    struct op_ref_update op;
    ref_update_arrays(c, n, CHECK_OUTPUT, &ref, &policy, &results, &op);
    if (c->judged) ref_ref_update_f64(ref->f64, policy->f64, n[0], (double)op.alpha);
    check_run(c, record_op_ref_update, &op);
    count_update(c, results);
}

// Bit patterns that arithmetic would change: -0, denormals, infinities, NaNs.
static void odd_bits(struct check_array *a, uint64_t begin)
{
    const uint32_t odd[] = {0x80000000u, 1u, 0x807fffffu, 0x7f800000u, 0x7fc0abcdu, 0xff812345u};
    for (uint64_t i = begin; i < a->count; i += 5)
        memcpy(&a->f32[i], &odd[i % 6], 4);
}

// alpha 1 makes the reference the policy, alpha 0 leaves it: bit for bit.
static void ref_update_exact(struct check *c, const uint32_t *n)
{
    struct check_array *ref, *policy, *results;
    struct op_ref_update op;
    ref_update_arrays(c, n, CHECK_SCRATCH, &ref, &policy, &results, &op);
    odd_bits(ref, 0);
    odd_bits(policy, 2);
    check_run(c, record_op_ref_update, &op);
    count_update(c, results);
    if (!c->device_failed && !same_bits(ref, op.alpha > 0 ? policy->f32 : ref->f32))
        check_fail(c, "ref: bits differ from %s", op.alpha > 0 ? "the policy's" : "before");
}

// Where reference and policy are equal they stay so, whatever alpha is.
static void ref_update_equal(struct check *c, const uint32_t *n)
{
    struct check_array *ref, *policy, *results;
    struct op_ref_update op;
    ref_update_arrays(c, n, CHECK_SCRATCH, &ref, &policy, &results, &op);
    memcpy(ref->f32, policy->f32, ref->count * 4);
    check_run(c, record_op_ref_update, &op);
    count_update(c, results);
    if (!c->device_failed && !same_bits(ref, policy->f32))
        check_fail(c, "ref: bits differ from the policy's");
}

// ---- the table ----

#define SPAN_1G (1u << 30)

static const struct check_case cases[] = {
    CHECK_CASE("grad_norm", grad_norm, "N span scale max_norm%", 256, SPAN_1G, 10, 0),
    CHECK_CASE("grad_norm", grad_norm, "N span scale max_norm%", 256 * 3, SPAN_1G, 10, 100),
    CHECK_CASE("grad_norm", grad_norm, "N span scale max_norm%", 256 * 37, 4096, 10, 200),
    CHECK_CASE("grad_norm", grad_norm, "N span scale max_norm%", 256 * 257, 16384, 0, 100),
    CHECK_CASE("grad_norm", grad_norm, "N span scale max_norm%", 256 * 257, 16384, 20, 100),
    CHECK_CASE("grad_norm", grad_norm, "N span scale max_norm%", 20 << 20, 32 << 20, 7, 100),
    CHECK_TIMED("grad_norm", grad_norm, "N span scale max_norm%", 100000256, SPAN_1G, 7, 100),
    CHECK_CASE("grad_norm_nonfinite", grad_norm_nonfinite, "N span bad", 256, SPAN_1G, 1),
    CHECK_CASE("grad_norm_nonfinite", grad_norm_nonfinite, "N span bad", 256 * 37, 4096, 31),
    CHECK_CASE("grad_norm_nonfinite", grad_norm_nonfinite, "N span bad", 256 * 257, 16384,
               257 * 256),
    CHECK_CASE("grad_norm_edges", grad_norm_edges, "N span", 256 * 5, SPAN_1G),
    CHECK_CASE("grad_norm_scaled", grad_norm_scaled, "N span scale steady bad", 256 * 37, 4096, 16,
               3, 0),
    CHECK_CASE("grad_norm_scaled", grad_norm_scaled, "N span scale steady bad", 256 * 37, 4096, 16,
               1999, 0),
    CHECK_CASE("grad_norm_scaled", grad_norm_scaled, "N span scale steady bad", 256, SPAN_1G, 24,
               1999, 0),
    CHECK_CASE("grad_norm_scaled", grad_norm_scaled, "N span scale steady bad", 256, SPAN_1G, 16,
               1999, 1),
    CHECK_CASE("grad_norm_scaled", grad_norm_scaled, "N span scale steady bad", 256, SPAN_1G, 0, 5,
               1),
    CHECK_CASE("scale_by_loss", scale_by_loss, "N live scale", 1, 0, 16),
    CHECK_CASE("scale_by_loss", scale_by_loss, "N live scale", 5000, 0, 3),
    CHECK_CASE("scale_by_loss", scale_by_loss, "N live scale", 5000, 4097, 24),
    CHECK_CASE("adamw", adamw, "N span decay", 256, SPAN_1G, 0),
    CHECK_CASE("adamw", adamw, "N span decay", 256 * 31, 4096, 1),
    CHECK_CASE("adamw", adamw, "N span decay", 256 * 33, 8192, 0),
    CHECK_CASE("adamw", adamw, "N span decay", 256 * 1025, 65536, 1),
    CHECK_TIMED("adamw", adamw, "N span decay", 16 << 20, SPAN_1G, 1),
    CHECK_CASE("adamw_after_skips", adamw_after_skips, "N span decay skips", 256 * 31, 4096, 1, 1),
    CHECK_CASE("adamw_after_skips", adamw_after_skips, "N span decay skips", 256 * 31, 4096, 0, 2),
    CHECK_CASE("adamw_skipped", adamw_skipped, "N span decay", 256 * 33, 8192, 1),
    CHECK_CASE("adamw_cleared", adamw_cleared, "N span decay", 256 * 33, 8192, 1),
    CHECK_CASE_AS(CHECK_BF16_GRADS, "adamw_cleared", adamw_cleared, "N span decay", 256 * 1025,
                  65536, 0),
    CHECK_CASE("ref_update", ref_update, "N span alpha/1000", 256, SPAN_1G, 600),
    CHECK_CASE("ref_update", ref_update, "N span alpha/1000", 256 * 31, 4096, 600),
    CHECK_CASE("ref_update", ref_update, "N span alpha/1000", 256 * 33, 8192, 1),
    CHECK_CASE("ref_update", ref_update, "N span alpha/1000", 256 * 1025, 65536, 999),
    CHECK_TIMED("ref_update", ref_update, "N span alpha/1000", 32 << 20, SPAN_1G, 600),
    CHECK_TIMED("ref_update", ref_update, "N span alpha/1000", 32 << 20, 4 << 20, 600),
    CHECK_CASE("ref_update_exact", ref_update_exact, "N span alpha/1000", 256, SPAN_1G, 1000),
    CHECK_CASE("ref_update_exact", ref_update_exact, "N span alpha/1000", 256 * 257, 16384, 1000),
    CHECK_CASE("ref_update_exact", ref_update_exact, "N span alpha/1000", 256 * 257, 16384, 0),
    CHECK_CASE("ref_update_equal", ref_update_equal, "N span alpha/1000", 256 * 257, 16384, 600),
    CHECK_CASE("ref_update_equal", ref_update_equal, "N span alpha/1000", 256 * 31, 4096, 50),
    // Weights as master halves, gradients fp32 and bf16.
    CHECK_CASE_AS(CHECK_BF16_GRADS, "grad_norm", grad_norm, "N span scale max_norm%", 256, SPAN_1G,
                  10, 0),
    CHECK_CASE_AS(CHECK_BF16_GRADS, "grad_norm", grad_norm, "N span scale max_norm%", 256 * 3,
                  SPAN_1G, 10, 100),
    CHECK_CASE_AS(CHECK_BF16_GRADS, "grad_norm", grad_norm, "N span scale max_norm%", 256 * 37,
                  4096, 10, 200),
    CHECK_CASE_AS(CHECK_BF16_GRADS, "grad_norm", grad_norm, "N span scale max_norm%", 256 * 257,
                  16384, 0, 100),
    CHECK_CASE_AS(CHECK_BF16_GRADS, "grad_norm", grad_norm, "N span scale max_norm%", 256 * 257,
                  16384, 20, 100),
    CHECK_CASE_AS(CHECK_BF16_GRADS, "grad_norm", grad_norm, "N span scale max_norm%", 20 << 20,
                  32 << 20, 7, 100),
    CHECK_CASE_AS(CHECK_BF16_GRADS, "grad_norm_nonfinite", grad_norm_nonfinite, "N span bad", 256,
                  SPAN_1G, 1),
    CHECK_CASE_AS(CHECK_BF16_GRADS, "grad_norm_nonfinite", grad_norm_nonfinite, "N span bad",
                  256 * 37, 4096, 31),
    CHECK_CASE_AS(CHECK_BF16_GRADS, "grad_norm_nonfinite", grad_norm_nonfinite, "N span bad",
                  256 * 257, 16384, 257 * 256),
    CHECK_CASE_AS(CHECK_BF16, "adamw", adamw, "N span decay", 256, SPAN_1G, 0),
    CHECK_CASE_AS(CHECK_BF16_GRADS, "adamw", adamw, "N span decay", 256, SPAN_1G, 0),
    CHECK_CASE_AS(CHECK_BF16, "adamw", adamw, "N span decay", 256 * 31, 4096, 1),
    CHECK_CASE_AS(CHECK_BF16_GRADS, "adamw", adamw, "N span decay", 256 * 31, 4096, 1),
    CHECK_CASE_AS(CHECK_BF16, "adamw", adamw, "N span decay", 256 * 33, 8192, 0),
    CHECK_CASE_AS(CHECK_BF16_GRADS, "adamw", adamw, "N span decay", 256 * 33, 8192, 0),
    CHECK_CASE_AS(CHECK_BF16, "adamw", adamw, "N span decay", 256 * 1025, 65536, 1),
    CHECK_CASE_AS(CHECK_BF16_GRADS, "adamw", adamw, "N span decay", 256 * 1025, 65536, 1),
    CHECK_CASE_AS(CHECK_BF16, "adamw_skipped", adamw_skipped, "N span decay", 256 * 33, 8192, 1),
    CHECK_CASE_AS(CHECK_BF16_GRADS, "adamw_skipped", adamw_skipped, "N span decay", 256 * 33, 8192,
                  1),
    CHECK_CASE_AS(CHECK_BF16, "ref_update", ref_update, "N span alpha/1000", 256, SPAN_1G, 600),
    CHECK_CASE_AS(CHECK_BF16, "ref_update", ref_update, "N span alpha/1000", 256 * 31, 4096, 600),
    CHECK_CASE_AS(CHECK_BF16, "ref_update", ref_update, "N span alpha/1000", 256 * 33, 8192, 1),
    CHECK_CASE_AS(CHECK_BF16, "ref_update", ref_update, "N span alpha/1000", 256 * 1025, 65536,
                  999),
    CHECK_CASE_AS(CHECK_BF16, "ref_update_exact", ref_update_exact, "N span alpha/1000", 256,
                  SPAN_1G, 1000),
    CHECK_CASE_AS(CHECK_BF16, "ref_update_exact", ref_update_exact, "N span alpha/1000", 256 * 257,
                  16384, 1000),
    CHECK_CASE_AS(CHECK_BF16, "ref_update_exact", ref_update_exact, "N span alpha/1000", 256 * 257,
                  16384, 0),
    CHECK_CASE_AS(CHECK_BF16, "ref_update_equal", ref_update_equal, "N span alpha/1000", 256 * 257,
                  16384, 600),
    CHECK_CASE_AS(CHECK_BF16, "ref_update_equal", ref_update_equal, "N span alpha/1000", 256 * 31,
                  4096, 50),
};
const struct check_table check_update = {cases, sizeof cases / sizeof *cases};
