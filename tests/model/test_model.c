// The whole decoder against PyTorch and transformers: log-probs, entropies, arg-max hits, and the
// gradient of every parameter, for two tiny models (tests/fixtures/README.md).
#include "../common/device.h"
#include "../common/fixture.h"
#include "../common/scratch.h"

#include "args.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/forward.h"
#include "ops/loss.h"
#include "ops/rows.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

// Everything a forward and backward pass over packs of `tokens` slots needs.
struct bench {
    struct fixture f;
    struct vk_arena arena;
    struct data_pack pack;
    struct model_batch batch;
    struct model_activations act;
    struct model_pass pass;
    struct model_weights policy, ref, grad;
    vk_addr ref_logp, values, settings, metrics;
    bool pairs, recompute;
    struct vk_seq *ref_forward, *forward, *step;
};

static void record_ref(struct vk_seq *s, void *ctx)
{
    struct bench *b = ctx;
    model_forward(s, &b->pass, &b->ref);
    op_copy(s, b->ref_logp, b->act.logp, b->batch.scored);
}

static void record_forward(struct vk_seq *s, void *ctx)
{
    struct bench *b = ctx;
    model_forward(s, &b->pass, &b->policy);
}

static void record_step(struct vk_seq *s, void *ctx)
{
    struct bench *b = ctx;
    model_forward(s, &b->pass, &b->policy);
    if (b->pairs)
        op_pref_loss(s, &(struct op_pref_loss){.logp = b->act.logp,
                                               .ref_logp = b->ref_logp,
                                               .entropy = b->act.entropy,
                                               .is_argmax = b->act.is_argmax,
                                               .sequence_first = b->batch.sequence_first,
                                               .dlogp = b->act.dlogp,
                                               .pairs_out = b->metrics,
                                               .counts = b->batch.counts,
                                               .step = b->values,
                                               .max_pairs = b->batch.sequences / 2,
                                               .scored = b->batch.scored,
                                               .settings = b->settings,
                                               .pairs_out_count = 16});
    else
        op_sft_loss(s, &(struct op_sft_loss){.logp = b->act.logp,
                                             .entropy = b->act.entropy,
                                             .is_argmax = b->act.is_argmax,
                                             .sequence_first = b->batch.sequence_first,
                                             .dlogp = b->act.dlogp,
                                             .sequences_out = b->metrics,
                                             .counts = b->batch.counts,
                                             .step = b->values,
                                             .max_sequences = b->batch.sequences,
                                             .scored = b->batch.scored,
                                             .sequences_out_count = 16});
    model_backward(s, &b->pass, &b->policy, &b->grad);
}

static void layout(struct bench *b, struct vk_arena *arena, uint32_t tokens, uint64_t logits_bytes)
{
    model_activations_layout(&b->act, &b->f.layout.config, arena, device,
                             &(struct model_activation_params){.tokens = tokens,
                                                               .scored = b->pack.scored_capacity,
                                                               .training = true,
                                                               .recompute = b->recompute,
                                                               .logits_bytes = logits_bytes});
    model_batch_layout(&b->batch, arena, tokens, b->pack.scored_capacity,
                       b->pack.sequence_capacity);
    b->ref_logp = vk_arena_alloc(arena, b->pack.scored_capacity * sizeof(float));
    b->values = vk_arena_alloc(arena, sizeof(struct step_values));
    b->settings = vk_arena_alloc(arena, sizeof(struct pref_settings));
    b->metrics = vk_arena_alloc(arena, 16 * sizeof(struct pair_metrics));
    b->pass.rope_table =
        vk_arena_alloc(arena, (uint64_t)tokens * b->f.layout.config.head_dim * sizeof(float));
}

static void bench_open(struct bench *b, const char *name, bool pairs, uint32_t tokens,
                       uint64_t logits_bytes, bool recompute)
{
    struct vk_arena measure;
    *b = (struct bench){.pairs = pairs, .recompute = recompute};
    fixture_open(&b->f, device, name, pairs);
    data_pack_init(&b->pack, &(struct data_pack_params){.tokens = tokens, .max_rows = 16});
    REQUIRE(vk_arena_init(&measure, NULL, &(struct vk_arena_params){.name = "measure"}));
    layout(b, &measure, tokens, logits_bytes);
    model_activations_finish(&b->act);
    REQUIRE(vk_arena_init(&b->arena, device,
                          &(struct vk_arena_params){.name = "test", .bytes = measure.peak}));
    vk_arena_finish(&measure);
    layout(b, &b->arena, tokens, logits_bytes);
    b->pass.config = &b->f.layout.config;
    b->pass.batch = &b->batch;
    b->pass.act = &b->act;
    b->pass.rope_rows = tokens;
    uint64_t count = (uint64_t)tokens * b->f.layout.config.head_dim;
    float *table = MEM_ARRAY(float, count);
    model_rope_table(&b->f.layout.config, tokens, table);
    REQUIRE(vk_write(device, b->pass.rope_table, table, count * sizeof(float)));
    mem_free(table);
    struct pref_settings settings = {
        .terms = 1, .type = {PREF_SIGMOID}, .weight = {1}, .beta = 0.1f, .ld_alpha = 1};
    REQUIRE(vk_write(device, b->settings, &settings, sizeof settings));
    fixture_weights(&b->f, &b->policy, "");
    fixture_weights(&b->f, &b->ref, "-ref");
    fixture_weights(&b->f, &b->grad, NULL);
    b->ref_forward = vk_seq_create(device, "reference", record_ref, b);
    b->forward = vk_seq_create(device, "forward", record_forward, b);
    b->step = vk_seq_create(device, "step", record_step, b);
}

static void bench_close(struct bench *b)
{
    vk_seq_destroy(b->ref_forward);
    vk_seq_destroy(b->forward);
    vk_seq_destroy(b->step);
    model_weights_finish(&b->policy);
    model_weights_finish(&b->ref);
    model_weights_finish(&b->grad);
    model_activations_finish(&b->act);
    vk_arena_finish(&b->arena);
    data_pack_finish(&b->pack);
    fixture_close(&b->f);
}

// Calls `each` for every pack of the rows, in order.
static void for_packs(struct bench *b, void (*each)(struct bench *b, void *ctx), void *ctx)
{
    uint32_t count = (uint32_t)b->f.set.rows.count, order[16], pack_of[16], first = 0;
    assert_int_equal(count, 16);
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    uint32_t packs = data_pack_plan(&b->f.set, order, count, b->pack.token_capacity, pack_of);
    for (uint32_t p = 0; p < packs; p++) {
        data_pack_clear(&b->pack);
        for (uint32_t i = 0; i < count; i++)
            if (pack_of[i] == p) assert_true(data_pack_add(&b->pack, &b->f.set, i));
        data_pack_close(&b->pack);
        REQUIRE(model_batch_upload(&b->batch, device, &b->pack,
                                   &(struct model_batch_place){.first_row = first}));
        first += b->pack.rows;
        each(b, ctx);
    }
    assert_int_equal(first, 16);
}

static bool near(double got, double want, double relative)
{
    return fabs(got - want) <= relative * fabs(want) + 1e-7;
}

// ---- log-probs ----

static void check_row(struct bench *b, uint32_t pack_row, const float *logp, const float *entropy,
                      const float *hits, bool reference)
{
    static const char *const side[] = {"chosen", "rejected"};
    uint32_t row = b->pack.row_index[pack_row];
    const cJSON *want = cJSON_GetArrayItem(cJSON_GetObjectItem(b->f.expected, "rows"), (int)row);
    for (uint32_t k = 0; k < 2; k++) {
        uint32_t first = b->pack.sequence_first[2 * pack_row + k];
        uint32_t end = b->pack.sequence_first[2 * pack_row + k + 1];
        double sum = 0, mean = 0, top = 0;
        for (uint32_t i = first; i < end; i++) {
            sum += (double)logp[i];
            mean += (double)entropy[i] / (end - first);
            top += (double)hits[i];
        }
        char key[64];
        snprintf(key, sizeof key, reference ? "logps/ref_%s" : "logps/%s", side[k]);
        double logps = fixture_number(want, key, NULL);
        if (!near(sum, logps, 1e-5)) fail_msg("row %u %s: %.9g, want %.9g", row, key, sum, logps);
        if (reference) continue;
        snprintf(key, sizeof key, "entropy/%s", side[k]);
        double e = fixture_number(want, key, NULL);
        if (!near(mean, e, 1e-5)) fail_msg("row %u %s: %.9g, want %.9g", row, key, mean, e);
        snprintf(key, sizeof key, "top1/%s", side[k]);
        assert_int_equal((int)top, (int)fixture_number(want, key, NULL));
        snprintf(key, sizeof key, "%s_tokens", side[k]);
        assert_int_equal(end - first, (int)fixture_number(want, key, NULL));
    }
}

static void check_tokens(struct bench *b, uint32_t pack_row, const float *logp)
{
    static const char *const side[] = {"chosen", "rejected"};
    const cJSON *entry;
    cJSON_ArrayForEach(entry, cJSON_GetObjectItem(b->f.expected, "per_token"))
    {
        if ((uint32_t)fixture_number(entry, "row", NULL) != b->pack.row_index[pack_row]) continue;
        for (uint32_t k = 0; k < 2; k++) {
            const cJSON *values = cJSON_GetObjectItem(entry, side[k]);
            uint32_t first = b->pack.sequence_first[2 * pack_row + k];
            assert_int_equal(cJSON_GetArraySize(values),
                             b->pack.sequence_first[2 * pack_row + k + 1] - first);
            const cJSON *value;
            uint32_t i = first;
            cJSON_ArrayForEach(value, values)
            {
                // A log-prob is a logit less a sum: where it is next to 0, what can be asked for is
                // the last place of the logit (these models' reach 11; PyTorch in float32 is as far
                // from float64).
                double last_place = 0x1p-20;
                if (fabs((double)logp[i] - value->valuedouble) >
                    1e-5 * fabs(value->valuedouble) + last_place)
                    fail_msg("row %u %s token %u: %.9g, want %.9g", b->pack.row_index[pack_row],
                             side[k], i - first, (double)logp[i], value->valuedouble);
                i++;
            }
        }
    }
}

static void check_logps(struct bench *b, void *ctx)
{
    bool *reference = ctx;
    uint32_t S = b->pack.scored;
    float *values = MEM_ARRAY(float, 3 * (size_t)S);
    REQUIRE(vk_seq_submit(*reference ? b->ref_forward : b->forward));
    REQUIRE(vk_read(device, b->act.logp, values, S * sizeof(float)));
    REQUIRE(vk_read(device, b->act.entropy, values + S, S * sizeof(float)));
    REQUIRE(vk_read(device, b->act.is_argmax, values + 2 * S, S * sizeof(float)));
    for (uint32_t r = 0; r < b->pack.rows; r++) {
        check_row(b, r, values, values + S, values + 2 * S, *reference);
        if (!*reference) check_tokens(b, r, values);
    }
    mem_free(values);
}

static void test_logps(const char *name, uint32_t tokens, uint64_t logits_bytes)
{
    struct bench b;
    bool reference = false;
    bench_open(&b, name, true, tokens, logits_bytes, false);
    for_packs(&b, check_logps, &reference);
    reference = true;
    for_packs(&b, check_logps, &reference);
    bench_close(&b);
}

static void logps_grouped(void **state)
{
    (void)state;
    test_logps("tiny-gqa", 2048, 0);
}

static void logps_llama3(void **state)
{
    (void)state;
    test_logps("tiny-llama3", 2048, 0);
}

static void logps_small_passes(void **state)
{
    (void)state;
    // Packs of a few rows, logits in chunks of a few rows: the same numbers.
    test_logps("tiny-gqa", 192, 20000);
    test_logps("tiny-llama3", 192, 20000);
}

// ---- gradients ----

static void add_gradient(struct bench *b, void *ctx)
{
    (void)ctx;
    if (b->pairs) REQUIRE(vk_seq_submit(b->ref_forward));
    REQUIRE(vk_seq_submit(b->step));
    REQUIRE(vk_wait_all(device));
}

static void check_gradients(struct bench *b, const char *file)
{
    struct hf_tensors *want = hf_tensors_open(fixture_path(&b->f, "", file));
    REQUIRE(want);
    double worst = 0;
    for (size_t i = 0; i < b->f.layout.tensor_count; i++) {
        const struct model_tensor *t = &b->f.layout.tensors[i];
        double distance = fixture_distance(&b->grad, want, t);
        if (!(distance < 1e-4))
            fail_msg("%s: gradient of %s is off by %.2e", file, t->name, distance);
        if (distance > worst) worst = distance;
    }
    print_message("%s %s: worst parameter off by %.1e of its norm\n", b->f.name, file, worst);
    hf_tensors_close(want);
}

static void test_gradients(const char *name, bool pairs, uint32_t tokens, uint64_t logits_bytes,
                           bool recompute)
{
    struct bench b;
    bench_open(&b, name, pairs, tokens, logits_bytes, recompute);
    double units = pairs ? 16 : fixture_number(b.f.expected, "sft", "tokens");
    struct step_values values = {.loss_scale = (float)(1 / units)};
    REQUIRE(vk_write(device, b.values, &values, sizeof values));
    for_packs(&b, add_gradient, NULL);
    check_gradients(&b, pairs ? "grads_dpo.safetensors" : "grads_sft.safetensors");
    bench_close(&b);
}

static void gradients_dpo(void **state)
{
    (void)state;
    test_gradients("tiny-gqa", true, 2048, 0, false);
    test_gradients("tiny-llama3", true, 2048, 0, false);
}

static void gradients_sft(void **state)
{
    (void)state;
    test_gradients("tiny-gqa", false, 2048, 0, false);
    test_gradients("tiny-llama3", false, 2048, 0, false);
}

static void gradients_small_passes(void **state)
{
    (void)state;
    test_gradients("tiny-gqa", true, 192, 20000, false);
    test_gradients("tiny-llama3", true, 192, 20000, false);
}

static void gradients_recomputed(void **state)
{
    (void)state;
    test_gradients("tiny-gqa", true, 2048, 0, true);
    test_gradients("tiny-llama3", false, 192, 20000, true);
}

// Oracle: where policy and reference are one model, every pair has D = 0 exactly, loss ln 2, and
// the gradient is -beta/2 (grad logp_w - grad logp_l), here told by dlogp.
static void check_identical(struct bench *b, void *ctx)
{
    (void)ctx;
    struct pair_metrics m[16];
    float *dlogp = MEM_ARRAY(float, b->pack.scored);
    REQUIRE(vk_seq_submit(b->ref_forward));
    REQUIRE(vk_seq_submit(b->step));
    REQUIRE(vk_read(device, b->metrics, m, sizeof m));
    REQUIRE(vk_read(device, b->act.dlogp, dlogp, b->pack.scored * sizeof(float)));
    for (uint32_t i = 0; i < 16; i++) {
        assert_true(m[i].reward_chosen == 0 && m[i].reward_rejected == 0);
        assert_true(near((double)m[i].loss, log(2.0), 1e-6));
    }
    for (uint32_t i = 0; i < b->pack.scored; i++) {
        double sign = b->pack.scored_sequence[i] % 2 ? 1 : -1;
        assert_true(near((double)dlogp[i], sign * 0.1 / 2 / 16, 1e-6));
    }
    mem_free(dlogp);
}

static void identical_models(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "tiny-gqa", true, 2048, 0, false);
    REQUIRE(model_weights_copy(&b.ref, &b.policy));
    struct step_values values = {.loss_scale = 1.0f / 16};
    REQUIRE(vk_write(device, b.values, &values, sizeof values));
    for_packs(&b, check_identical, NULL);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logps_grouped),        cmocka_unit_test(logps_llama3),
        cmocka_unit_test(logps_small_passes),   cmocka_unit_test(gradients_dpo),
        cmocka_unit_test(gradients_sft),        cmocka_unit_test(gradients_small_passes),
        cmocka_unit_test(gradients_recomputed), cmocka_unit_test(identical_models),
    };
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, device_open, device_close);
}
