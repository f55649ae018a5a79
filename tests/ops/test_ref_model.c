// The double reference of linear.h, attention.h and head.h, proved by finite differences.
#include "gradient.h"
#include "ops/ref.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

// ---- linear ----

enum { M = 4, N = 5, K = 3 };

struct linear {
    double x[M * K], w[N * K], bias[N], add[M * N], y[M * N], dy[M * N];
};

static double linear_objective(void *ctx)
{
    struct linear *l = ctx;
    ref_linear_fwd_f64(&(struct ref_linear_f64){.y = l->y,
                                                .x = l->x,
                                                .w = l->w,
                                                .bias = l->bias,
                                                .add = l->add,
                                                .rows = M,
                                                .in = K,
                                                .out = N});
    return weighted_sum(l->y, l->dy, M * N);
}

static void test_linear(void **state)
{
    (void)state;
    struct linear l;
    double dx[M * K], add[M * K], dw[N * K], dbias[N], dw_before[N * K], dbias_before[N];
    draw(l.x, M * K, 1);
    draw(l.w, N * K, 1);
    draw(l.bias, N, 1);
    draw(l.add, M * N, 1);
    draw(l.dy, M * N, 1);
    draw(add, M * K, 1);
    draw(dw_before, N * K, 1);
    draw(dbias_before, N, 1);
    memcpy(dw, dw_before, sizeof dw);
    memcpy(dbias, dbias_before, sizeof dbias);
    ref_linear_bwd_input_f64(&(struct ref_linear_bwd_input_f64){
        .dx = dx, .dy = l.dy, .w = l.w, .add = add, .rows = M, .in = K, .out = N});
    ref_linear_bwd_weight_f64(&(struct ref_linear_bwd_weight_f64){
        .dw = dw, .dbias = dbias, .dy = l.dy, .x = l.x, .rows = M, .in = K, .out = N});
    for (size_t i = 0; i < M * K; i++)
        dx[i] -= add[i];
    for (size_t i = 0; i < N * K; i++) // weights accumulate
        dw[i] -= dw_before[i];
    for (size_t i = 0; i < N; i++)
        dbias[i] -= dbias_before[i];
    check_gradient("dx", l.x, M * K, dx, linear_objective, &l);
    check_gradient("dw", l.w, N * K, dw, linear_objective, &l);
    check_gradient("dbias", l.bias, N, dbias, linear_objective, &l);
    check_gradient("dadd", l.add, M * N, l.dy, linear_objective, &l);
}

// ---- attention ----

enum { T = 9, HEADS = 4, KV = 2, D = 3, QS = HEADS * D + 2, KS = KV * D + 1, OS = HEADS * D + 3 };

// A prompt of three slots, a chosen and a rejected completion that share it, and a row of its own
// with nothing before it; slot 8 attends to nothing.
static const struct token_span spans[T] = {{0, 0, 0, 1}, {0, 0, 0, 2}, {0, 0, 0, 3},
                                           {0, 3, 3, 4}, {0, 3, 3, 5}, {0, 3, 5, 6},
                                           {0, 0, 6, 7}, {0, 0, 6, 8}, {0, 0, 0, 0}};

struct attention {
    double q[T * QS], k[T * KS], v[T * KS], o[T * OS], lse[T * HEADS], dout[T * OS];
};

static double attention_objective(void *ctx)
{
    struct attention *a = ctx;
    ref_attention_fwd_f64(&(struct ref_attention_f64){.o = a->o,
                                                      .lse = a->lse,
                                                      .q = a->q,
                                                      .k = a->k,
                                                      .v = a->v,
                                                      .spans = spans,
                                                      .rows = T,
                                                      .keys = T,
                                                      .heads = HEADS,
                                                      .kv_heads = KV,
                                                      .head_dim = D,
                                                      .q_stride = QS,
                                                      .kv_stride = KS,
                                                      .o_stride = OS,
                                                      .scale = 0.7});
    double sum = 0;
    for (size_t t = 0; t < T; t++)
        sum += weighted_sum(a->o + t * OS, a->dout + t * OS, HEADS * D);
    return sum;
}

static void test_attention_backward(void **state)
{
    (void)state;
    struct attention a = {.q = {0}};
    double dq[T * QS] = {0}, dk[T * KS] = {0}, dv[T * KS] = {0};
    draw(a.q, T * QS, 1);
    draw(a.k, T * KS, 1);
    draw(a.v, T * KS, 1);
    draw(a.dout, T * OS, 1);
    ref_attention_bwd_f64(&(struct ref_attention_bwd_f64){.dq = dq,
                                                          .dk = dk,
                                                          .dv = dv,
                                                          .dout = a.dout,
                                                          .q = a.q,
                                                          .k = a.k,
                                                          .v = a.v,
                                                          .spans = spans,
                                                          .rows = T,
                                                          .heads = HEADS,
                                                          .kv_heads = KV,
                                                          .head_dim = D,
                                                          .q_stride = QS,
                                                          .kv_stride = KS,
                                                          .o_stride = OS,
                                                          .scale = 0.7});
    check_gradient("dq", a.q, T * QS, dq, attention_objective, &a);
    check_gradient("dk", a.k, T * KS, dk, attention_objective, &a);
    check_gradient("dv", a.v, T * KS, dv, attention_objective, &a);
}

// Equal keys make the output a plain mean of what is attended to, and log-sum-exp its score plus
// log of the count; nothing attended to makes 0.
static void test_attention_mean(void **state)
{
    (void)state;
    struct attention a = {.q = {0}};
    draw(a.q, T * QS, 1);
    draw(a.v, T * KS, 1);
    for (size_t u = 0; u < T; u++)
        for (size_t d = 0; d < KV * D; d++)
            a.k[u * KS + d] = 0.1 * (double)(d + 1);
    attention_objective(&a);
    for (size_t h = 0; h < HEADS; h++) {
        size_t kv = h / 2 * D;
        double score = 0.7 * weighted_sum(a.q + 4 * QS + h * D, a.k + kv, D);
        check_near("lse", a.lse[4 * HEADS + h], score + log(5), 1e-13);
        for (size_t d = 0; d < D; d++) {
            double mean = 0; // slot 4: the prompt 0..2 and its own 3, 4
            for (size_t u = 0; u < 5; u++)
                mean += a.v[u * KS + kv + d] / 5;
            check_near("o", a.o[4 * OS + h * D + d], mean, 1e-13);
            assert_true(a.o[8 * OS + h * D + d] == 0);
        }
        assert_true(a.lse[8 * HEADS + h] < -1e29);
    }
}

// ---- head ----

enum { S = 4, C = 3, V = 6 };

struct head {
    double x[S * C], w[V * C], logp[S], lse[S], entropy[S], is_argmax[S], dlogp[S];
    uint32_t targets[S];
};

static double head_objective(void *ctx)
{
    struct head *h = ctx;
    ref_head_fwd_f64(&(struct ref_head_f64){.logp = h->logp,
                                            .lse = h->lse,
                                            .entropy = h->entropy,
                                            .is_argmax = h->is_argmax,
                                            .x = h->x,
                                            .w = h->w,
                                            .targets = h->targets,
                                            .rows = S,
                                            .cols = C,
                                            .vocab = V});
    return weighted_sum(h->logp, h->dlogp, S);
}

static void test_head(void **state)
{
    (void)state;
    struct head h = {.targets = {0, 5, 2, 2}};
    double dx[S * C], dw[V * C], before[V * C];
    draw(h.x, S * C, 1);
    draw(h.w, V * C, 1);
    draw(h.dlogp, S, 1);
    draw(before, V * C, 1);
    memcpy(dw, before, sizeof dw);
    ref_head_bwd_f64(&(struct ref_head_bwd_f64){.dx = dx,
                                                .dw = dw,
                                                .dlogp = h.dlogp,
                                                .x = h.x,
                                                .w = h.w,
                                                .targets = h.targets,
                                                .rows = S,
                                                .cols = C,
                                                .vocab = V});
    for (size_t i = 0; i < V * C; i++)
        dw[i] -= before[i];
    check_gradient("dx", h.x, S * C, dx, head_objective, &h);
    check_gradient("dw", h.w, V * C, dw, head_objective, &h);
}

// Equal logits: log-prob -log V, entropy log V, and of equals the first is the argmax.
static void test_head_uniform(void **state)
{
    (void)state;
    struct head h = {.targets = {0, 5, 0, 1}};
    draw(h.x, S * C, 1);
    head_objective(&h);
    for (size_t s = 0; s < S; s++) {
        check_near("logp", h.logp[s], -log(V), 1e-15);
        check_near("entropy", h.entropy[s], log(V), 1e-15);
        assert_true(h.is_argmax[s] == (h.targets[s] == 0));
    }
}

// Probabilities of all targets sum to 1, and the entropy is their mean surprise.
static void test_head_probabilities(void **state)
{
    (void)state;
    struct head h = {.targets = {0}};
    double sum = 0, surprise = 0, winners = 0;
    draw(h.x, S * C, 2);
    draw(h.w, V * C, 2);
    for (uint32_t v = 0; v < V; v++) {
        h.targets[0] = v;
        head_objective(&h);
        sum += exp(h.logp[0]);
        surprise -= exp(h.logp[0]) * h.logp[0];
        winners += h.is_argmax[0];
    }
    check_near("sum of probabilities", sum, 1, 1e-14);
    check_near("entropy", h.entropy[0], surprise, 1e-13);
    assert_true(winners == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),         cmocka_unit_test(test_attention_backward),
        cmocka_unit_test(test_attention_mean), cmocka_unit_test(test_head),
        cmocka_unit_test(test_head_uniform),   cmocka_unit_test(test_head_probabilities),
    };
    return cmocka_run_group_tests_name("reference: linear, attention, head", tests, NULL, NULL);
}
