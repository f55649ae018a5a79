// Layout and weight arenas: where tensors stand, and what their files may and may not hold.
#include "../common/device.h"
#include "../common/fixture.h"
#include "../common/scratch.h"

#include "base/file.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

// ---- layout ----

static struct model_config config_of(const char *name)
{
    struct fixture f = {.name = name};
    REQUIRE(hf_config_load(&f.hf, fixture_path(&f, "", "")));
    return model_config_from_hf(&f.hf);
}

// Tensors neither overlap nor cross a span, and groups begin on blocks of 256 elements.
static void expect_sound(const struct model_layout *l)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < l->tensor_count; i++) {
        const struct model_tensor *t = &l->tensors[i];
        sum += t->count;
        assert_true(t->count > 0 && t->offset + t->count <= l->elements);
        assert_true(t->offset / l->span_elements == (t->offset + t->count - 1) / l->span_elements);
        assert_ptr_equal(model_layout_find(l, t->name), t);
        for (size_t k = 0; k < i; k++) {
            const struct model_tensor *u = &l->tensors[k];
            assert_true(u->offset + u->count <= t->offset || t->offset + t->count <= u->offset);
        }
    }
    assert_int_equal(sum, l->parameters);
    assert_true(l->elements % 256 == 0);
    for (uint32_t i = 0; i < l->config.layers; i++) {
        const struct model_layer_offsets *o = &l->layers[i];
        const uint64_t groups[] = {o->attention_norm, o->qkv,     o->out,
                                   o->mlp_norm,       o->gate_up, o->down};
        for (size_t k = 0; k < sizeof groups / sizeof *groups; k++)
            assert_true(groups[k] % 256 == 0);
    }
}

static void layouts_are_sound(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny-gqa", "tiny-llama3"};
    for (size_t i = 0; i < 2; i++) {
        struct model_config c = config_of(names[i]);
        struct model_layout l;
        REQUIRE(model_layout_init(&l, &c, 0));
        expect_sound(&l);
        assert_true((l.head == l.embed) == c.tied_head);
        // q, k and v are one matrix for the kernels.
        const struct model_tensor *q =
            model_layout_find(&l, "model.layers.1.self_attn.q_proj.weight");
        const struct model_tensor *k =
            model_layout_find(&l, "model.layers.1.self_attn.k_proj.weight");
        const struct model_tensor *v =
            model_layout_find(&l, "model.layers.1.self_attn.v_proj.weight");
        assert_true(q && k && v && q->offset == l.layers[1].qkv);
        assert_true(k->offset == q->offset + q->count && v->offset == k->offset + k->count);
        assert_null(model_layout_find(&l, "model.layers.9.self_attn.q_proj.weight"));
        model_layout_finish(&l);
    }
}

static void small_spans(void **state)
{
    (void)state;
    struct model_config c = config_of("tiny-llama3");
    struct model_layout one, many;
    REQUIRE(model_layout_init(&one, &c, 0));
    // The smallest limit at which the largest matrix still has its span.
    uint64_t limit = (uint64_t)1 << 24;
    while (model_layout_init(&many, &c, limit / 2)) {
        model_layout_finish(&many);
        limit /= 2;
    }
    model_layout_finish(&many);
    EXPECT_USER_ERROR("largest matrix");
    REQUIRE(model_layout_init(&many, &c, limit));
    assert_int_equal(many.span_elements * 4, limit);
    expect_sound(&many);
    assert_true(many.elements / many.span_elements >= 2);
    assert_true(many.parameters == one.parameters && many.tensor_count == one.tensor_count);
    model_layout_finish(&one);
    model_layout_finish(&many);
    assert_false(model_layout_init(&many, &c, 4096));
    EXPECT_USER_ERROR("largest matrix", "4.0 KiB");
    model_layout_finish(&many);
}

// ---- weights ----

static float *all_values(const struct model_weights *w)
{
    float *values = MEM_ARRAY(float, w->layout->elements);
    for (size_t i = 0; i < w->layout->tensor_count; i++)
        REQUIRE(
            model_weights_read(w, &w->layout->tensors[i], values + w->layout->tensors[i].offset));
    return values;
}

static float through(float value, enum dtype type)
{
    if (type == DTYPE_F16) return dtype_from_f16(dtype_to_f16(value));
    if (type == DTYPE_BF16) return dtype_from_bf16(dtype_to_bf16(value));
    return value;
}

static void files_of_every_type(void **state)
{
    (void)state;
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    struct fixture f;
    struct model_weights w, back;
    fixture_open(&f, device, "tiny-gqa", true);
    fixture_weights(&f, &w, "");
    fixture_weights(&f, &back, NULL);
    float *want = all_values(&w);
    for (size_t k = 0; k < 3; k++) {
        const struct model_weights_part part = {&w, ""};
        REQUIRE(model_weights_save(&part, 1, scratch("model.safetensors"), types[k], NULL));
        REQUIRE(model_weights_load(&back, scratch(""), ""));
        float *got = all_values(&back);
        for (uint64_t i = 0; i < f.layout.elements; i++)
            assert_true(got[i] == through(want[i], types[k]));
        mem_free(got);
    }
    mem_free(want);
    model_weights_finish(&w);
    model_weights_finish(&back);
    fixture_close(&f);
}

// In master halves every fp32 comes back bit for bit, in bf16 rounded; and an arena that stands in
// another's memory holds what any other does.
static void storages(void **state)
{
    (void)state;
    struct fixture f;
    struct model_weights plain, halves, within, rounded;
    fixture_open(&f, device, "tiny-gqa", true);
    fixture_weights(&f, &plain, "");
    fixture_weights_as(&f, &halves, "", MODEL_MASTER);
    fixture_weights_as(&f, &rounded, "", MODEL_BF16);
    float *want = all_values(&plain), *got = all_values(&halves), *low = all_values(&rounded);
    assert_memory_equal(got, want, f.layout.elements * sizeof(float));
    for (uint64_t i = 0; i < f.layout.elements; i++)
        assert_true(low[i] == through(want[i], DTYPE_BF16));
    assert_int_equal(halves.arena.used + halves.lower.used, plain.arena.used);
    assert_int_equal(2 * rounded.arena.used, plain.arena.used);

    REQUIRE(model_weights_init_within(&within, &plain, MODEL_MASTER));
    REQUIRE(model_weights_copy(&within, &halves));
    mem_free(got);
    got = all_values(&within);
    assert_memory_equal(got, want, f.layout.elements * sizeof(float));
    model_weights_finish(&within);
    // The memory is still the other's.
    REQUIRE(model_weights_load(&plain, fixture_path(&f, "", ""), ""));
    mem_free(got);
    got = all_values(&plain);
    assert_memory_equal(got, want, f.layout.elements * sizeof(float));
    mem_free(want);
    mem_free(got);
    mem_free(low);
    model_weights_finish(&plain);
    model_weights_finish(&halves);
    model_weights_finish(&rounded);
    fixture_close(&f);
}

static void several_arenas_in_a_file(void **state)
{
    (void)state;
    struct fixture f;
    struct model_weights a, b, back;
    fixture_open(&f, device, "tiny-llama3", true);
    fixture_weights(&f, &a, "");
    fixture_weights(&f, &b, "-ref");
    fixture_weights(&f, &back, NULL);
    const struct model_weights_part parts[] = {{&a, "first."}, {&b, "second."}};
    const char *path = scratch("both.safetensors");
    REQUIRE(model_weights_save(parts, 2, path, DTYPE_F32, NULL));
    for (int k = 0; k < 2; k++) {
        REQUIRE(model_weights_load(&back, path, parts[k].prefix));
        float *want = all_values(parts[k].weights), *got = all_values(&back);
        assert_memory_equal(got, want, f.layout.elements * sizeof(float));
        mem_free(want);
        mem_free(got);
    }
    assert_false(model_weights_load(&back, path, "third."));
    EXPECT_USER_ERROR("both.safetensors", "'third.model.embed_tokens.weight' is missing");
    REQUIRE(model_weights_copy(&back, &a));
    float *want = all_values(&a), *got = all_values(&back);
    assert_memory_equal(got, want, f.layout.elements * sizeof(float));
    mem_free(want);
    mem_free(got);
    model_weights_finish(&a);
    model_weights_finish(&b);
    model_weights_finish(&back);
    fixture_close(&f);
}

// What a file is to hold of the fixture's tensors, and how one of them is to differ.
struct edit {
    const char *tensor; // NULL: none
    enum { DROP, TURN, WIDEN, CODES, POISON_NAN, POISON_INFINITY } how;
};

// Writes the fixture's tensors with numbers first, first + step, ... into a file.
static void write_part(const struct fixture *f, const char *path, size_t first, size_t step,
                       const struct edit *edit)
{
    struct hf_tensors *source = hf_tensors_open(fixture_path(f, "", ""));
    REQUIRE(source);
    size_t count = hf_tensors_count(source), n = 0;
    struct hf_tensor_decl *decls = MEM_ARRAY(struct hf_tensor_decl, count);
    const struct hf_tensor **from = MEM_ARRAY(const struct hf_tensor *, count);
    for (size_t i = first; i < count; i += step) {
        const struct hf_tensor *t = hf_tensors_at(source, i);
        bool edited = edit->tensor && strcmp(edit->tensor, t->name) == 0;
        if (edited && edit->how == DROP) continue;
        decls[n] = (struct hf_tensor_decl){.name = t->name, .dtype = DTYPE_F32, .dims = t->dims};
        for (int d = 0; d < t->dims; d++)
            decls[n].shape[d] = t->shape[edited && edit->how == TURN ? t->dims - 1 - d : d];
        if (edited && edit->how == CODES) decls[n].dtype = DTYPE_U8;
        if (edited && edit->how == WIDEN) decls[n].shape[decls[n].dims++] = 1;
        from[n++] = t;
    }
    struct hf_writer *w = hf_writer_create(path, decls, n, NULL);
    REQUIRE(w);
    for (size_t i = 0; i < n; i++) {
        float *values = MEM_ARRAY(float, from[i]->count);
        dtype_decode(values, from[i]->data, from[i]->dtype, from[i]->count);
        if (edit->tensor && strcmp(edit->tensor, from[i]->name) == 0) {
            if (edit->how == POISON_NAN) values[7] = NAN;
            if (edit->how == POISON_INFINITY) values[7] = -INFINITY;
        }
        REQUIRE(hf_writer_put(w, values, from[i]->count));
        mem_free(values);
    }
    REQUIRE(hf_writer_commit(w));
    mem_free(decls);
    mem_free(from);
    hf_tensors_close(source);
}

static void damaged_files(void **state)
{
    (void)state;
    static const struct {
        struct edit edit;
        const char *says;
    } cases[] = {
        {{"model.norm.weight", DROP}, "is missing"},
        {{"model.layers.1.mlp.up_proj.weight", DROP}, "is missing"},
        {{"model.layers.0.mlp.down_proj.weight", TURN}, "shape ["},
        {{"model.norm.weight", WIDEN}, "shape ["},
        {{"model.layers.0.mlp.up_proj.weight", CODES}, "is of U8"},
        {{"model.embed_tokens.weight", POISON_NAN}, "holds NaN at element 7"},
        {{"model.layers.1.self_attn.o_proj.weight", POISON_INFINITY},
         "holds infinity at element 7"},
    };
    struct fixture f;
    struct model_weights w;
    fixture_open(&f, device, "tiny-gqa", true);
    fixture_weights(&f, &w, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_part(&f, scratch("damaged.safetensors"), 0, 1, &cases[i].edit);
        assert_false(model_weights_load(&w, scratch("damaged.safetensors"), ""));
        EXPECT_USER_ERROR("damaged.safetensors", cases[i].edit.tensor, cases[i].says);
    }
    model_weights_finish(&w);
    fixture_close(&f);
}

static void shards(void **state)
{
    (void)state;
    struct fixture f;
    struct model_weights w, back;
    fixture_open(&f, device, "tiny-llama3", true);
    fixture_weights(&f, &w, "");
    fixture_weights(&f, &back, NULL);
    REQUIRE(file_make_dirs(scratch("sharded")));
    struct str index = {0};
    str_append(&index, "{\"metadata\": {}, \"weight_map\": {");
    struct hf_tensors *source = hf_tensors_open(fixture_path(&f, "", ""));
    REQUIRE(source);
    for (size_t i = 0; i < hf_tensors_count(source); i++)
        str_appendf(&index, "%s\"%s\": \"part-%zu.safetensors\"", i ? ", " : "",
                    hf_tensors_at(source, i)->name, i % 3);
    hf_tensors_close(source);
    str_append(&index, "}}");
    for (size_t i = 0; i < 3; i++)
        write_part(&f, scratchf("sharded/part-%zu.safetensors", i), i, 3, &(struct edit){0});
    scratch_write("sharded/model.safetensors.index.json", str_text(&index));
    REQUIRE(model_weights_load(&back, scratch("sharded"), ""));
    float *want = all_values(&w), *got = all_values(&back);
    assert_memory_equal(got, want, f.layout.elements * sizeof(float));
    mem_free(want);
    mem_free(got);
    REQUIRE(file_remove(scratch("sharded/part-1.safetensors")));
    assert_false(model_weights_load(&back, scratch("sharded"), ""));
    EXPECT_USER_ERROR("part-1.safetensors");
    str_finish(&index);
    model_weights_finish(&w);
    model_weights_finish(&back);
    fixture_close(&f);
}

static void random_weights(void **state)
{
    (void)state;
    struct fixture f;
    struct model_weights a, b;
    fixture_open(&f, device, "tiny-llama3", true);
    fixture_weights(&f, &a, NULL);
    fixture_weights(&f, &b, NULL);
    REQUIRE(model_weights_randomize(&a, 1) && model_weights_randomize(&b, 1));
    float *x = all_values(&a), *y = all_values(&b);
    assert_memory_equal(x, y, f.layout.elements * sizeof(float));
    mem_free(y);
    REQUIRE(model_weights_randomize(&b, 2));
    y = all_values(&b);
    double deviation = (double)f.layout.config.initializer_range;
    for (size_t i = 0; i < f.layout.tensor_count; i++) {
        const struct model_tensor *t = &f.layout.tensors[i];
        double sum = 0, squares = 0, product = 0;
        for (uint64_t k = 0; k < t->count; k++) {
            double v = (double)x[t->offset + k];
            if (t->role == MODEL_NORM) assert_true(v == 1);
            if (t->role == MODEL_BIAS) assert_true(v == 0);
            sum += v;
            squares += v * v;
            product += v * (double)y[t->offset + k];
        }
        if (t->role == MODEL_NORM || t->role == MODEL_BIAS) continue;
        // Five standard errors of mean, variance and correlation.
        double n = (double)t->count, five = 5 / sqrt(n);
        assert_true(fabs(sum / n) < five * deviation);
        assert_true(fabs(squares / n / (deviation * deviation) - 1) < five * sqrt(2));
        assert_true(fabs(product / n / (deviation * deviation)) < five);
    }
    mem_free(x);
    mem_free(y);
    model_weights_finish(&a);
    model_weights_finish(&b);
    fixture_close(&f);
}

static int begin(void **state)
{
    scratch_init("test_weights.scratch");
    return device_open(state);
}

static int end(void **state)
{
    scratch_finish();
    return device_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_are_sound),
        cmocka_unit_test(small_spans),
        cmocka_unit_test(files_of_every_type),
        cmocka_unit_test(storages),
        cmocka_unit_test(several_arenas_in_a_file),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(shards),
        cmocka_unit_test(random_weights),
    };
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, begin, end);
}
