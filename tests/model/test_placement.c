// Packing, prefix sharing and slices of the head change no result beyond rounding: log-probs and
// gradients of the same rows, wherever they stand in whatever packs; a pair is two rows that share
// nothing. Gradient checkpointing changes no bit. What differs from run to run is only where rows
// stand, so a token's log-prob and its share of the gradient (dlogp, which is given) are found by
// the token.
#include "placed_rows.h"

#include "../common/device.h"
#include "../common/scratch.h"

#include "args.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/forward.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

// ---- a run ----

// How rows are placed.
struct placement {
    const char *name;
    const struct rows *rows;
    uint32_t tokens;       // of a pass
    uint64_t logits_bytes; // of a slice of the head; 0: all in one
    uint64_t seed;         // of the rows' order; 0: as they stand
    bool alone;            // one row a pass
    bool same_bits;        // log-probs must be those of the first placement, bit for bit
    bool recompute;        // gradient checkpointing
    bool apart;            // no two arrays share memory
    uint64_t shuffle;      // others than in training do
    bool poison;           // activations are NaN before each pass
};

// Log-probs by origin, NAN where none is; the gradient as model_weights_read has it.
struct outcome {
    float *logp, *grad;
    uint32_t packs;
};

struct bench {
    const struct placement *p;
    const struct model_layout *layout;
    struct vk_arena arena;
    struct data_pack pack;
    struct model_batch batch;
    struct model_activations act;
    struct model_pass pass;
    struct model_weights *policy, grad;
    struct vk_seq *forward, *backward;
};

static void record_forward(struct vk_seq *s, void *ctx)
{
    struct bench *b = ctx;
    model_forward(s, &b->pass, b->policy);
}

static void record_backward(struct vk_seq *s, void *ctx)
{
    struct bench *b = ctx;
    model_backward(s, &b->pass, b->policy, &b->grad);
}

static void layout(struct bench *b, struct vk_arena *arena)
{
    model_activations_layout(&b->act, &b->layout->config, arena, device,
                             &(struct model_activation_params){.tokens = b->p->tokens,
                                                               .scored = b->pack.scored_capacity,
                                                               .training = true,
                                                               .recompute = b->p->recompute,
                                                               .apart = b->p->apart,
                                                               .shuffle = b->p->shuffle,
                                                               .logits_bytes = b->p->logits_bytes});
    model_batch_layout(&b->batch, arena, b->p->tokens, b->pack.scored_capacity,
                       b->pack.sequence_capacity);
    b->pass.rope_table =
        vk_arena_alloc(arena, (uint64_t)b->p->tokens * b->layout->config.head_dim * 4);
}

static void bench_open(struct bench *b, struct model_weights *policy, const struct placement *p)
{
    struct vk_arena measure;
    *b = (struct bench){.p = p, .layout = policy->layout, .policy = policy};
    data_pack_init(&b->pack, &(struct data_pack_params){.tokens = p->tokens, .max_rows = 2 * ROWS});
    REQUIRE(vk_arena_init(&measure, NULL, &(struct vk_arena_params){.name = "measure"}));
    layout(b, &measure);
    model_activations_finish(&b->act);
    REQUIRE(vk_arena_init(&b->arena, device,
                          &(struct vk_arena_params){.name = "test", .bytes = measure.peak}));
    vk_arena_finish(&measure);
    layout(b, &b->arena);
    const struct model_config *c = &b->layout->config;
    b->pass.config = c;
    b->pass.batch = &b->batch;
    b->pass.act = &b->act;
    b->pass.rope_rows = p->tokens;
    uint64_t count = (uint64_t)p->tokens * c->head_dim;
    float *table = MEM_ARRAY(float, count);
    model_rope_table(c, p->tokens, table);
    REQUIRE(vk_write(device, b->pass.rope_table, table, count * sizeof(float)));
    mem_free(table);
    REQUIRE(model_weights_init(&b->grad, device, b->layout, MODEL_F32, "gradient"));
    b->forward = vk_seq_create(device, "forward", record_forward, b);
    b->backward = vk_seq_create(device, "backward", record_backward, b);
}

static void bench_close(struct bench *b)
{
    vk_seq_destroy(b->forward);
    vk_seq_destroy(b->backward);
    model_weights_finish(&b->grad);
    model_activations_finish(&b->act);
    vk_arena_finish(&b->arena);
    data_pack_finish(&b->pack);
}

// Where the token that a scored position predicts stands in the ids of the set.
static void find_targets(const struct data_pack *pack, const struct data_set *set, uint32_t *at)
{
    uint32_t per_row = pack->sequences / pack->rows;
    for (uint32_t q = 0; q < pack->sequences; q++) {
        const struct data_row *row = &set->rows.items[pack->row_index[q / per_row]];
        uint32_t end = row->first + row->prompt + row->completion[0];
        if (q % per_row) end += row->completion[1];
        for (uint32_t s = pack->sequence_first[q + 1], i = 1; s-- > pack->sequence_first[q]; i++)
            at[s] = end - i;
    }
}

// All bytes that a pass may use, in front of those of the batch.
static void poison(struct bench *b)
{
    assert_int_equal(b->arena.span_count, 1);
    uint64_t count = (b->batch.block - b->arena.spans[0].addr) / sizeof(float);
    float *values = MEM_ARRAY(float, count);
    for (uint64_t i = 0; i < count; i++)
        values[i] = NAN;
    REQUIRE(vk_write(device, b->arena.spans[0].addr, values, count * sizeof(float)));
    mem_free(values);
}

static void run_pack(struct bench *b, const float *dlogp, struct outcome *out)
{
    const struct rows *rows = b->p->rows;
    uint32_t S = b->pack.scored, *at = MEM_ARRAY(uint32_t, S);
    float *values = MEM_ARRAY(float, S);
    data_pack_close(&b->pack);
    find_targets(&b->pack, &rows->set, at);
    if (b->p->poison) poison(b);
    REQUIRE(model_batch_upload(&b->batch, device, &b->pack, &(struct model_batch_place){0}));
    REQUIRE(vk_seq_submit(b->forward));
    REQUIRE(vk_read(device, b->act.logp, values, S * sizeof(float)));
    for (uint32_t s = 0; s < S; s++) {
        uint32_t origin = rows->origin.items[at[s]];
        assert_true(isnan(out->logp[origin]) && isfinite(values[s]));
        out->logp[origin] = values[s];
        values[s] = dlogp[origin];
    }
    REQUIRE(vk_write(device, b->act.dlogp, values, S * sizeof(float)));
    REQUIRE(vk_seq_submit(b->backward));
    REQUIRE(vk_wait_all(device));
    mem_free(values);
    mem_free(at);
    out->packs++;
}

static struct outcome run(struct model_weights *policy, const struct placement *p,
                          const float *dlogp, uint32_t origins)
{
    struct bench b;
    bench_open(&b, policy, p);
    uint32_t count = (uint32_t)p->rows->set.rows.count, order[2 * ROWS], pack_of[2 * ROWS];
    struct rng r = rng_begin(p->seed, RNG_TEST);
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    if (p->seed) rng_permutation(&r, order, count);
    uint32_t packs =
        p->alone ? count : data_pack_plan(&p->rows->set, order, count, p->tokens, pack_of);
    struct outcome out = {MEM_ARRAY(float, origins), MEM_ARRAY(float, policy->layout->elements), 0};
    for (uint32_t i = 0; i < origins; i++)
        out.logp[i] = NAN;
    for (uint32_t k = 0; k < packs; k++) {
        data_pack_clear(&b.pack);
        for (uint32_t i = 0; i < count; i++)
            if (p->alone ? i == k : pack_of[i] == k)
                assert_true(data_pack_add(&b.pack, &p->rows->set, order[i]));
        run_pack(&b, dlogp, &out);
    }
    for (size_t i = 0; i < policy->layout->tensor_count; i++) {
        const struct model_tensor *t = &policy->layout->tensors[i];
        REQUIRE(model_weights_read(&b.grad, t, out.grad + t->offset));
    }
    bench_close(&b);
    return out;
}

static void outcome_finish(struct outcome *o)
{
    mem_free(o->logp);
    mem_free(o->grad);
}

// ---- comparisons ----

static void compare_logps(const struct placement *p, const struct outcome *want,
                          const struct outcome *got, uint32_t origins)
{
    uint32_t scored = 0, differ = 0;
    double worst = 0;
    for (uint32_t i = 0; i < origins; i++) {
        assert_int_equal(isnan(got->logp[i]), isnan(want->logp[i]));
        if (isnan(got->logp[i])) continue;
        double a = (double)got->logp[i], b = (double)want->logp[i], off = fabs(a - b);
        scored++;
        differ += memcmp(&got->logp[i], &want->logp[i], sizeof(float)) != 0;
        if (off > worst) worst = off;
        // As near as PyTorch's are: the last place of a logit.
        if (off > 1e-5 * fabs(b) + 0x1p-20)
            fail_msg("%s: id %u has log-prob %.9g, not %.9g", p->name, i, a, b);
    }
    assert_true(scored > 0);
    if (p->same_bits && differ) fail_msg("%s: %u log-probs differ in bits", p->name, differ);
    print_message("  %-36s %3u packs, %u of %u log-probs differ in bits, by %.1e at most\n",
                  p->name, got->packs, differ, scored, worst);
}

static void compare_gradients(const struct placement *p, const struct model_layout *layout,
                              const struct outcome *want, const struct outcome *got)
{
    double worst = 0;
    for (size_t i = 0; i < layout->tensor_count; i++) {
        const struct model_tensor *t = &layout->tensors[i];
        double off = 0, norm = 0;
        for (uint64_t k = t->offset; k < t->offset + t->count; k++) {
            double a = (double)got->grad[k], b = (double)want->grad[k];
            off += (a - b) * (a - b);
            norm += b * b;
        }
        assert_true(norm > 0);
        double distance = sqrt(off / norm);
        if (!(distance < 2e-6))
            fail_msg("%s: gradient of %s is off by %.2e of its norm", p->name, t->name, distance);
        if (distance > worst) worst = distance;
    }
    print_message("  %-36s gradient off by %.1e of a parameter's norm at most\n", "", worst);
}

// In passes of the same shape the same kernels run, whose sums do not depend on where a row stands.
static void compare_placements(struct model_weights *policy)
{
    struct subject t;
    struct rows single;
    subject_open(&t, policy->layout, 6);
    rows_unpaired(&single, &t.pairs.set);
    uint32_t all = t.all, longest = t.longest, all_single;
    rows_slots(&single.set, &all_single);
    assert_true(all_single > all);
    uint64_t slice = (uint64_t)policy->layout->config.vocab * sizeof(float) * 17;
    const struct placement placements[] = {
        {"all rows in one pass, again", &t.pairs, all, .same_bits = true},
        {"the same, other order", &t.pairs, all, .seed = 1, .same_bits = true},
        {"the same, each row alone", &t.pairs, all, .alone = true, .same_bits = true},
        {"budget of exactly the longest row", &t.pairs, longest, .seed = 0},
        {"the same, other order", &t.pairs, longest, .seed = 2},
        {"budget of two longest rows", &t.pairs, 2 * longest, .seed = 3},
        {"all in one, head in slices of 17 rows", &t.pairs, all, .logits_bytes = slice},
        {"longest row, head row by row", &t.pairs, longest, .logits_bytes = 1},
        {"pairs as two rows, all in one", &single, all_single, .seed = 0},
        {"pairs as two rows, small passes", &single, longest, .logits_bytes = slice, .seed = 4},
    };
    print_message("%u pairs, %u slots, the longest %u\n", ROWS, all, longest);
    struct outcome want = run(policy, &placements[0], t.dlogp, t.origins);
    for (size_t i = 0; i < sizeof placements / sizeof *placements; i++) {
        struct outcome got = run(policy, &placements[i], t.dlogp, t.origins);
        compare_logps(&placements[i], &want, &got, t.origins);
        compare_gradients(&placements[i], policy->layout, &want, &got);
        if (i == 0) assert_memory_equal(got.grad, want.grad, t.bytes);
        outcome_finish(&got);
    }
    outcome_finish(&want);
    rows_finish(&single);
    subject_close(&t);
}

// Passes full to the last slot, with slots left over, and many that leave theirs to the next one.
static void compare_memory(struct model_weights *policy)
{
    struct subject t;
    subject_open(&t, policy->layout, 7);
    const uint64_t slice = (uint64_t)policy->layout->config.vocab * sizeof(float) * 50;
    const struct placement ways[] = {
        {"shared, layers made again", &t.pairs, t.all, 0, .recompute = true},
        {"shared, NaN before", &t.pairs, t.all + 333, slice, .seed = 1, .poison = true},
        {"shared, NaN, made again", &t.pairs, t.longest, 0, .seed = 2, .recompute = 1, .poison = 1},
        {"shared", &t.pairs, t.longest + 41, slice, .seed = 3},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct placement plain = ways[i];
        plain.apart = true;
        plain.recompute = plain.poison = false;
        struct outcome want = run(policy, &plain, t.dlogp, t.origins);
        struct outcome got = run(policy, &ways[i], t.dlogp, t.origins);
        assert_memory_equal(got.logp, want.logp, t.origins * sizeof(float));
        assert_memory_equal(got.grad, want.grad, t.bytes);
        outcome_finish(&want);
        outcome_finish(&got);
    }
    subject_close(&t);
}

// An array that lives too short shows where another is put in its place: in some plan.
static void compare_plans(struct model_weights *policy)
{
    struct subject t;
    subject_open(&t, policy->layout, 8);
    struct placement p = {"each in its place", &t.pairs, 2 * t.longest, .apart = true};
    struct outcome want = run(policy, &p, t.dlogp, t.origins);
    for (uint64_t seed = 1; seed <= 6; seed++) {
        p = (struct placement){"shuffled",     &t.pairs,        2 * t.longest,
                               .poison = true, .shuffle = seed, .recompute = seed % 2};
        struct outcome got = run(policy, &p, t.dlogp, t.origins);
        if (memcmp(got.logp, want.logp, t.origins * sizeof(float)) != 0 ||
            memcmp(got.grad, want.grad, t.bytes) != 0)
            fail_msg("plan %u changes bits", (unsigned)seed);
        outcome_finish(&got);
    }
    outcome_finish(&want);
    subject_close(&t);
}

static void fixture_with(const char *path, void (*compare)(struct model_weights *policy))
{
    struct hf_config hf;
    struct model_layout layout;
    struct model_weights policy;
    REQUIRE(hf_config_load(&hf, path));
    struct model_config config = model_config_from_hf(&hf);
    REQUIRE(model_layout_init(&layout, &config, 0));
    REQUIRE(model_weights_init(&policy, device, &layout, MODEL_F32, "policy"));
    REQUIRE(model_weights_load(&policy, path, ""));
    compare(&policy);
    model_weights_finish(&policy);
    model_layout_finish(&layout);
}

static void grouped(void **state)
{
    (void)state;
    fixture_with(TEST_FIXTURES "/tiny-gqa", compare_placements);
}

static void llama3(void **state)
{
    (void)state;
    fixture_with(TEST_FIXTURES "/tiny-llama3", compare_placements);
}

// A random model of this shape, the rest as in the fixture.
static void random_with(const struct model_config *shape,
                        void (*compare)(struct model_weights *policy))
{
    struct hf_config hf;
    struct model_layout layout;
    struct model_weights policy;
    REQUIRE(hf_config_load(&hf, TEST_FIXTURES "/tiny-gqa"));
    struct model_config config = model_config_from_hf(&hf);
    config.channels = shape->channels;
    config.heads = shape->heads;
    config.kv_heads = shape->kv_heads;
    config.head_dim = shape->head_dim;
    config.ffn = shape->ffn;
    config.vocab = shape->vocab;
    config.layers = shape->layers;
    REQUIRE(model_layout_init(&layout, &config, 0));
    REQUIRE(model_weights_init(&policy, device, &layout, MODEL_F32, "policy"));
    REQUIRE(model_weights_randomize(&policy, 1));
    compare(&policy);
    model_weights_finish(&policy);
    model_layout_finish(&layout);
}

// Wide enough for the kernels that bring tiles in order first.
static void wide_with(uint32_t layers, void (*compare)(struct model_weights *policy))
{
    random_with(&(struct model_config){.channels = 256,
                                       .heads = 8,
                                       .kv_heads = 4,
                                       .head_dim = 32,
                                       .ffn = 704,
                                       .vocab = 1024,
                                       .layers = layers},
                compare);
}

static void wide(void **state)
{
    (void)state;
    wide_with(1, compare_placements);
}

static void memory(void **state)
{
    (void)state;
    fixture_with(TEST_FIXTURES "/tiny-gqa", compare_memory);
    fixture_with(TEST_FIXTURES "/tiny-llama3", compare_memory);
    wide_with(4, compare_memory);
}

// One array is the largest here, another there.
static void lifetimes(void **state)
{
    (void)state;
    static const struct model_config shapes[] = {
        {.channels = 128, .heads = 2, .kv_heads = 1, .head_dim = 8, .ffn = 16, .vocab = 64},
        {.channels = 16, .heads = 4, .kv_heads = 4, .head_dim = 32, .ffn = 24, .vocab = 40},
        {.channels = 32, .heads = 2, .kv_heads = 1, .head_dim = 16, .ffn = 96, .vocab = 512},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct model_config c = shapes[i];
        c.layers = i ? 2 : 1;
        random_with(&c, compare_plans);
    }
}

static uint64_t bytes_of(const struct model_config *c, uint32_t tokens, bool recompute)
{
    struct vk_arena measure;
    struct model_activations act;
    // Spans so large that no ends of them are counted.
    REQUIRE(vk_arena_init(
        &measure, NULL,
        &(struct vk_arena_params){.name = "measure", .span_bytes = (uint64_t)1 << 44}));
    model_activations_layout(
        &act, c, &measure, device,
        &(struct model_activation_params){
            .tokens = tokens, .scored = tokens / 2, .training = true, .recompute = recompute});
    model_activations_finish(&act);
    uint64_t bytes = measure.peak;
    vk_arena_finish(&measure);
    return bytes;
}

// L layers of everything become L inputs and one layer of the rest.
static void recomputing_saves(void **state)
{
    (void)state;
    static const struct model_config configs[] = {
        {.vocab = 512,
         .channels = 48,
         .ffn = 56,
         .layers = 2,
         .heads = 6,
         .kv_heads = 2,
         .head_dim = 8},
        {.vocab = 512,
         .channels = 48,
         .ffn = 56,
         .layers = 1,
         .heads = 6,
         .kv_heads = 2,
         .head_dim = 8},
        {.vocab = 128256,
         .channels = 2048,
         .ffn = 8192,
         .layers = 16,
         .heads = 32,
         .kv_heads = 8,
         .head_dim = 64},
    };
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        const struct model_config *c = &configs[i];
        for (uint64_t T = 256; T <= 4096; T *= 4) { // whole 1024 bytes, whatever the row
            uint64_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
            uint64_t inside =
                4 * T * (1 + (q + 2 * kv) + q + c->heads + c->channels + 1 + 2 * c->ffn);
            uint64_t kept = bytes_of(c, (uint32_t)T, false), lean = bytes_of(c, (uint32_t)T, true);
            assert_int_equal(kept - lean, (c->layers - 1) * inside);
            assert_true(lean > c->layers * 4 * T * c->channels + inside);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grouped), cmocka_unit_test(llama3),    cmocka_unit_test(wide),
        cmocka_unit_test(memory),  cmocka_unit_test(lifetimes), cmocka_unit_test(recomputing_saves),
    };
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, device_open, device_close);
}
