// Generation with a key/value cache: the tokens of a forward pass over the whole text, whatever
// the lanes, chunks and neighbours.
#include "../common/device.h"
#include "../common/fixture.h"
#include "../common/scratch.h"

#include "base/array.h"
#include "base/mem.h"
#include "model/generator.h"
#include "train/stepper.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define MAX_LENGTH 640
#define PROMPTS 5

struct setting {
    struct fixture f;
    struct model_weights weights;
    int32_t ids[MAX_LENGTH]; // prompts are parts of this text
};

static void setting_open(struct setting *s, const char *name)
{
    *s = (struct setting){0};
    fixture_open(&s->f, device, name, true);
    fixture_weights(&s->f, &s->weights, "");
    // The data set's own tokens, over and over.
    for (uint32_t i = 0; i < MAX_LENGTH; i++)
        s->ids[i] = s->f.set.ids.items[i % s->f.set.ids.count];
}

static void setting_close(struct setting *s)
{
    model_weights_finish(&s->weights);
    fixture_close(&s->f);
}

// What a generation came to.
struct texts {
    struct out_ids ARRAY_OF(int32_t) ids[PROMPTS];
    int ended[PROMPTS]; // 1: by length, 2: by an end token
    int stop_after;     // tokens in all; 0: never
};

static bool on_token(void *ctx, size_t prompt, int32_t id)
{
    struct texts *t = ctx;
    assert_true(prompt < PROMPTS && !t->ended[prompt]);
    ARRAY_PUSH(&t->ids[prompt], id);
    return !t->stop_after || --t->stop_after > 0;
}

static bool on_end(void *ctx, size_t prompt, bool eos)
{
    struct texts *t = ctx;
    assert_true(prompt < PROMPTS && !t->ended[prompt]);
    t->ended[prompt] = eos ? 2 : 1;
    return true;
}

static void texts_finish(struct texts *t)
{
    for (int i = 0; i < PROMPTS; i++)
        ARRAY_FREE(&t->ids[i]);
}

// Prompts of different lengths, one longer than a chunk of prompt (256 rows).
static const uint32_t lengths[PROMPTS] = {1, 300, 37, 255, 64};

static void generate(struct setting *s, uint32_t lanes, uint32_t count,
                     const struct model_generation *how, struct texts *out)
{
    struct model_prompt prompts[PROMPTS];
    for (uint32_t i = 0; i < count; i++)
        prompts[i] = (struct model_prompt){s->ids + i * 11, lengths[i]};
    struct model_generator *g = model_generator_create(
        device, &s->weights,
        &(struct model_generator_params){.sequences = lanes, .max_length = MAX_LENGTH});
    REQUIRE(g);
    struct model_generation all = *how;
    all.on_token = on_token;
    all.on_end = on_end;
    all.ctx = out;
    REQUIRE(model_generate(g, prompts, count, &all));
    model_generator_destroy(g);
}

// Hits of the forward pass over prompt + continuation: how many tokens of the continuation are the
// arg-max where they stand.
static uint32_t argmax_hits(struct setting *s, uint32_t prompt, const struct texts *t)
{
    struct train_config config;
    struct data_set set = {0};
    uint32_t count = (uint32_t)t->ids[prompt].count, order = 0;
    for (uint32_t i = 0; i < lengths[prompt]; i++)
        ARRAY_PUSH(&set.ids, s->ids[prompt * 11 + i]);
    for (uint32_t i = 0; i < count; i++)
        ARRAY_PUSH(&set.ids, t->ids[prompt].items[i]);
    ARRAY_PUSH(&set.rows, (struct data_row){.prompt = lengths[prompt], .completion = {count, 0}});
    train_config_init(&config);
    REQUIRE(train_config_set(&config, "method", "sft", "test"));
    struct train_stepper *st =
        train_stepper_create(&(struct train_stepper_params){.device = device,
                                                            .config = &config,
                                                            .layout = &s->f.layout,
                                                            .policy = &s->weights,
                                                            .tokens = MAX_LENGTH,
                                                            .rows = 1});
    REQUIRE(st);
    union train_row_metrics row;
    REQUIRE(train_stepper_evaluate(st, &set, &order, 1, &row));
    assert_int_equal((uint32_t)row.sequence.tokens, count);
    train_stepper_destroy(st);
    train_config_finish(&config);
    ARRAY_FREE(&set.ids);
    ARRAY_FREE(&set.rows);
    return (uint32_t)row.sequence.accurate;
}

static void greedy_is_the_argmax_of_the_whole_text(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny-gqa", "tiny-llama3"};
    for (size_t k = 0; k < 2; k++) {
        struct setting s;
        struct texts t = {0};
        setting_open(&s, names[k]);
        generate(&s, 3, PROMPTS, &(struct model_generation){.max_new_tokens = 40}, &t);
        for (uint32_t i = 0; i < PROMPTS; i++) {
            assert_int_equal(t.ids[i].count, 40);
            assert_int_equal(t.ended[i], 1);
            assert_int_equal(argmax_hits(&s, i, &t), 40);
        }
        // The check is one that can fail: another token is not the arg-max.
        t.ids[2].items[20] = (t.ids[2].items[20] + 1) % (int32_t)s.f.layout.config.vocab;
        assert_true(argmax_hits(&s, 2, &t) < 40);
        texts_finish(&t);
        setting_close(&s);
    }
}

static void lanes_do_not_matter(void **state)
{
    (void)state;
    static const uint32_t lanes[] = {1, 2, 5, 8};
    struct setting s;
    setting_open(&s, "tiny-llama3");
    for (int sampled = 0; sampled < 2; sampled++) {
        struct texts want = {0};
        struct model_generation how = {.max_new_tokens = 25};
        if (sampled) how.sampling = (struct model_sampling){.temperature = 0.8f, .seed = 5};
        for (size_t k = 0; k < 4; k++) {
            struct texts t = {0};
            generate(&s, lanes[k], PROMPTS, &how, k ? &t : &want);
            for (int i = 0; k && i < PROMPTS; i++) {
                assert_int_equal(t.ids[i].count, want.ids[i].count);
                assert_memory_equal(t.ids[i].items, want.ids[i].items,
                                    t.ids[i].count * sizeof(int32_t));
            }
            texts_finish(&t);
        }
        texts_finish(&want);
    }
    setting_close(&s);
}

static void ends(void **state)
{
    (void)state;
    struct setting s;
    struct texts t = {0}, again = {0}, few = {0};
    setting_open(&s, "tiny-gqa");
    generate(&s, 2, 3, &(struct model_generation){.max_new_tokens = 1000}, &t);
    for (int i = 0; i < 3; i++) { // prompt and continuation fill max_length exactly
        assert_int_equal(lengths[i] + t.ids[i].count, MAX_LENGTH);
        assert_int_equal(t.ended[i], 1);
    }
    // The eleventh token of prompt 0 becomes an end token: it ends the text and is not handed on.
    int32_t eos = t.ids[0].items[10];
    size_t first = 0;
    while (t.ids[0].items[first] != eos)
        first++;
    generate(&s, 2, 3,
             &(struct model_generation){.max_new_tokens = 600, .eos = &eos, .eos_count = 1},
             &again);
    assert_int_equal(again.ids[0].count, first);
    assert_int_equal(again.ended[0], 2);
    for (int i = 0; i < 3; i++)
        for (size_t k = 0; k < again.ids[i].count; k++)
            assert_true(again.ids[i].items[k] != eos && again.ids[i].items[k] == t.ids[i].items[k]);
    // A caller that has seen enough.
    few.stop_after = 7;
    generate(&s, 2, 3, &(struct model_generation){.max_new_tokens = 600}, &few);
    assert_true(few.ids[0].count + few.ids[1].count + few.ids[2].count <= 8);
    texts_finish(&t);
    texts_finish(&again);
    texts_finish(&few);
    setting_close(&s);
}

static void damaged_weights_are_told(void **state)
{
    (void)state;
    struct setting s;
    setting_open(&s, "tiny-gqa");
    const struct model_tensor *t = model_layout_find(&s.f.layout, "model.norm.weight");
    float *values = MEM_ARRAY(float, t->count);
    for (uint64_t i = 0; i < t->count; i++)
        values[i] = NAN;
    REQUIRE(model_weights_write(&s.weights, t, values));
    struct model_generator *g = model_generator_create(
        device, &s.weights, &(struct model_generator_params){.sequences = 1, .max_length = 64});
    REQUIRE(g);
    struct model_prompt prompt = {s.ids, 5};
    assert_false(model_generate(g, &prompt, 1, &(struct model_generation){.max_new_tokens = 5}));
    EXPECT_USER_ERROR("not a number", "damaged");
    model_generator_destroy(g);
    mem_free(values);
    setting_close(&s);
}

static void a_cache_beyond_the_device_is_refused(void **state)
{
    (void)state;
    struct setting s;
    setting_open(&s, "tiny-gqa");
    const struct model_generator_params huge = {.sequences = 64, .max_length = 1u << 30};
    assert_int_equal(model_generator_bytes(&s.f.layout, device, &huge), 0);
    EXPECT_USER_ERROR("64 texts", "fewer");
    assert_null(model_generator_create(device, &s.weights, &huge));
    EXPECT_USER_ERROR("64 texts", "fewer");
    setting_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_is_the_argmax_of_the_whole_text),
        cmocka_unit_test(lanes_do_not_matter),
        cmocka_unit_test(ends),
        cmocka_unit_test(damaged_weights_are_told),
        cmocka_unit_test(a_cache_beyond_the_device_is_refused),
    };
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, device_open, device_close);
}
