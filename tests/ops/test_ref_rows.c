// The double reference of rows.h, proved by finite differences and by what the operations promise.
#include "gradient.h"
#include "ops/ref.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { T = 5, C = 7, F = 6, V = 4, S = 6, EVEN = 6, HEADS = 2 };

// ---- embedding ----

struct embed {
    double weight[V * C], x[T * C], dx[T * C];
    uint32_t ids[T];
};

static double embed_objective(void *ctx)
{
    struct embed *e = ctx;
    ref_embed_fwd_f64(&(struct ref_embed_f64){e->x, e->weight, e->ids, T, C});
    return weighted_sum(e->x, e->dx, T * C);
}

static void test_embed(void **state)
{
    (void)state;
    struct embed e = {.ids = {2, 0, 2, 2, 3}};
    double dweight[V * C], before[V * C];
    draw(e.weight, V * C, 1);
    draw(e.dx, T * C, 1);
    draw(before, V * C, 1);
    memcpy(dweight, before, sizeof dweight);
    ref_embed_bwd_f64(dweight, e.dx, e.ids, T, C);
    for (size_t i = 0; i < V * C; i++) // what it added
        dweight[i] -= before[i];
    check_gradient("dweight", e.weight, V * C, dweight, embed_objective, &e);
    for (size_t i = 0; i < C; i++)
        assert_true(dweight[1 * C + i] == 0); // id 1 is nowhere
}

// ---- RMSNorm ----

struct norm {
    double x[T * C], w[C], y[T * C], rstd[T], dy[T * C];
};

static const double norm_eps = 1e-3;

static double norm_objective(void *ctx)
{
    struct norm *n = ctx;
    ref_rmsnorm_fwd_f64(&(struct ref_rmsnorm_f64){
        .y = n->y, .rstd = n->rstd, .x = n->x, .w = n->w, .rows = T, .cols = C, .eps = norm_eps});
    return weighted_sum(n->y, n->dy, T * C);
}

static void test_rmsnorm(void **state)
{
    (void)state;
    struct norm n;
    double dx[T * C], dw[C] = {0}, add[T * C];
    draw(n.x, T * C, 2);
    draw(n.w, C, 1);
    draw(n.dy, T * C, 1);
    draw(add, T * C, 1);
    norm_objective(&n);
    struct ref_rmsnorm_bwd_f64 p = {
        .dx = dx, .dw = dw, .dy = n.dy, .x = n.x, .w = n.w, .rstd = n.rstd, .rows = T, .cols = C};
    ref_rmsnorm_bwd_f64(&p);
    check_gradient("dx", n.x, T * C, dx, norm_objective, &n);
    check_gradient("dw", n.w, C, dw, norm_objective, &n);

    // `add` is added to dx, dw accumulates.
    double dx_again[T * C], dw_twice[C];
    memcpy(dw_twice, dw, sizeof dw);
    norm_objective(&n);
    p.dx = dx_again;
    p.dw = dw_twice;
    p.add = add;
    ref_rmsnorm_bwd_f64(&p);
    for (size_t i = 0; i < T * C; i++)
        check_near("dx with add", dx_again[i], dx[i] + add[i], 1e-14);
    for (size_t i = 0; i < C; i++)
        check_near("dw", dw_twice[i], 2 * dw[i], 1e-14);
}

// A row of unit weights comes out with a mean square of 1 where eps is 0.
static void test_rmsnorm_size(void **state)
{
    (void)state;
    struct norm n;
    draw(n.x, T * C, 5);
    for (size_t i = 0; i < C; i++)
        n.w[i] = 1;
    ref_rmsnorm_fwd_f64(
        &(struct ref_rmsnorm_f64){.y = n.y, .x = n.x, .w = n.w, .rows = T, .cols = C});
    for (size_t t = 0; t < T; t++)
        check_near("mean square", weighted_sum(n.y + t * C, n.y + t * C, C) / C, 1, 1e-14);
}

// ---- rotary positions ----

enum { STRIDE = HEADS * EVEN + 3, POSITIONS = 9 };

struct rotary {
    double x[T * STRIDE], turned[T * STRIDE], dy[T * STRIDE], table[POSITIONS * EVEN];
    uint32_t positions[T];
};

static struct ref_rope_f64 rope_of(struct rotary *r, double *x, bool inverse)
{
    return (struct ref_rope_f64){.x = x,
                                 .positions = r->positions,
                                 .table = r->table,
                                 .rows = T,
                                 .heads = HEADS,
                                 .head_dim = EVEN,
                                 .stride = STRIDE,
                                 .inverse = inverse};
}

static double rope_objective(void *ctx)
{
    struct rotary *r = ctx;
    memcpy(r->turned, r->x, sizeof r->x);
    struct ref_rope_f64 p = rope_of(r, r->turned, false);
    ref_rope_f64(&p);
    return weighted_sum(r->turned, r->dy, T * STRIDE);
}

static void init_rotary(struct rotary *r)
{
    for (size_t i = 0; i < POSITIONS * EVEN / 2; i++) {
        double angle = (double)(i / (EVEN / 2)) / (double)(1 + i % (EVEN / 2));
        r->table[2 * i] = cos(angle);
        r->table[2 * i + 1] = sin(angle);
    }
    for (size_t t = 0; t < T; t++)
        r->positions[t] = draw_below(POSITIONS);
    draw(r->x, T * STRIDE, 1);
    draw(r->dy, T * STRIDE, 1);
}

static void test_rope_backward(void **state)
{
    (void)state;
    struct rotary r;
    double dx[T * STRIDE];
    init_rotary(&r);
    memcpy(dx, r.dy, sizeof dx);
    struct ref_rope_f64 p = rope_of(&r, dx, true);
    ref_rope_f64(&p);
    check_gradient("dx", r.x, T * STRIDE, dx, rope_objective, &r);
}

// Scores depend on the distance of positions alone: what the rotation is for.
static void test_rope_distance(void **state)
{
    (void)state;
    struct rotary r;
    double q[EVEN], k[EVEN], score[3];
    init_rotary(&r);
    for (uint32_t shift = 0; shift < 3; shift++) {
        double pair[2 * EVEN];
        uint32_t positions[2] = {shift, shift + 4};
        if (shift == 0) {
            draw(q, EVEN, 1);
            draw(k, EVEN, 1);
        }
        memcpy(pair, q, sizeof q);
        memcpy(pair + EVEN, k, sizeof k);
        ref_rope_f64(&(struct ref_rope_f64){.x = pair,
                                            .positions = positions,
                                            .table = r.table,
                                            .rows = 2,
                                            .heads = 1,
                                            .head_dim = EVEN,
                                            .stride = EVEN});
        score[shift] = weighted_sum(pair, pair + EVEN, EVEN);
    }
    check_near("score", score[1], score[0], 1e-13);
    check_near("score", score[2], score[0], 1e-13);
    assert_true(fabs(score[0] - weighted_sum(q, k, EVEN)) > 1e-3); // it did turn
}

// ---- SwiGLU ----

struct swiglu {
    double gate_up[T * 2 * F], h[T * F], dh[T * F];
};

static double swiglu_objective(void *ctx)
{
    struct swiglu *s = ctx;
    ref_swiglu_fwd_f64(s->h, s->gate_up, T, F);
    return weighted_sum(s->h, s->dh, T * F);
}

static void test_swiglu(void **state)
{
    (void)state;
    struct swiglu s;
    double dgate_up[T * 2 * F], h[T * F];
    draw(s.gate_up, T * 2 * F, 2);
    draw(s.dh, T * F, 1);
    ref_swiglu_bwd_f64(&(struct ref_swiglu_bwd_f64){dgate_up, h, s.dh, s.gate_up, T, F});
    swiglu_objective(&s);
    for (size_t i = 0; i < T * F; i++)
        check_near("h", h[i], s.h[i], 1e-15);
    check_gradient("dgate_up", s.gate_up, T * 2 * F, dgate_up, swiglu_objective, &s);

    double one[2] = {1, 3}, out;
    ref_swiglu_fwd_f64(&out, one, 1, 1);
    check_near("swiglu(1, 3)", out, 3 * 0.73105857863000487925, 1e-15);
}

// ---- gather ----

struct gather {
    double x[T * C], y[S * C], dy[S * C];
    uint32_t index[S];
};

static double gather_objective(void *ctx)
{
    struct gather *g = ctx;
    ref_gather_rows_f64(
        &(struct ref_gather_f64){.y = g->y, .x = g->x, .index = g->index, .rows = S, .cols = C});
    return weighted_sum(g->y, g->dy, S * C);
}

static void test_gather(void **state)
{
    (void)state;
    struct gather g = {.index = {3, 0, 3, 4, 1, 4}}; // slot 2 is not scored, two are twice
    double dx[T * C];
    draw(g.x, T * C, 1);
    draw(g.dy, S * C, 1);
    ref_gather_rows_bwd_f64(
        dx, T, &(struct ref_gather_f64){.x = g.dy, .index = g.index, .rows = S, .cols = C});
    check_gradient("dx", g.x, T * C, dx, gather_objective, &g);
}

// Scattering rows to distinct places and gathering them again gives them back.
static void test_scatter(void **state)
{
    (void)state;
    enum { GAP = 2 };
    const uint32_t index[T] = {4, 0, 3, 1, 5};
    double x[T * C], wide[(T + 1) * (C + GAP)] = {0}, back[T * C];
    draw(x, T * C, 1);
    ref_scatter_rows_f64(&(struct ref_gather_f64){
        .y = wide, .x = x, .index = index, .rows = T, .cols = C, .y_stride = C + GAP});
    ref_gather_rows_f64(&(struct ref_gather_f64){
        .y = back, .x = wide, .index = index, .rows = T, .cols = C, .x_stride = C + GAP});
    assert_memory_equal(back, x, sizeof x);
    for (size_t i = 0; i < C + GAP; i++)
        assert_true(wide[2 * (C + GAP) + i] == 0); // row 2 is no place of the index
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embed),         cmocka_unit_test(test_rmsnorm),
        cmocka_unit_test(test_rmsnorm_size),  cmocka_unit_test(test_rope_backward),
        cmocka_unit_test(test_rope_distance), cmocka_unit_test(test_swiglu),
        cmocka_unit_test(test_gather),        cmocka_unit_test(test_scatter),
    };
    return cmocka_run_group_tests_name("reference: rows", tests, NULL, NULL);
}
