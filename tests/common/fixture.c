#include "fixture.h"

#include "scratch.h"

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
// cmocka wants the headers above first.
#include <cmocka.h>

const char *fixture_path(const struct fixture *f, const char *suffix, const char *file)
{
    static char paths[4][1024];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s%s%s%s", TEST_FIXTURES, f->name, suffix, *file ? "/" : "",
             file);
    return path;
}

void fixture_open(struct fixture *f, struct vk_device *device, const char *name, bool pairs)
{
    fixture_open_spans(f, device, name, pairs, 0);
}

void fixture_open_spans(struct fixture *f, struct vk_device *device, const char *name, bool pairs,
                        uint64_t max_span_bytes)
{
    fixture_open_rows(f, device, name,
                      &(struct fixture_rows){.file = "prefs.jsonl",
                                             .kind = pairs ? DATA_PAIRS : DATA_TEXTS,
                                             .max_length = 1024},
                      max_span_bytes);
}

void fixture_open_rows(struct fixture *f, struct vk_device *device, const char *name,
                       const struct fixture_rows *rows, uint64_t max_span_bytes)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", TEST_FIXTURES, rows->file);
    *f = (struct fixture){.device = device, .name = name};
    REQUIRE(hf_config_load(&f->hf, fixture_path(f, "", "")));
    f->tokenizer = hf_tokenizer_load(fixture_path(f, "", ""));
    REQUIRE(f->tokenizer);
    struct model_config config = model_config_from_hf(&f->hf);
    REQUIRE(model_layout_init(&f->layout, &config, max_span_bytes));
    REQUIRE(data_load(&f->set, &(struct data_params){.path = path,
                                                     .tokenizer = f->tokenizer,
                                                     .kind = rows->kind,
                                                     .completion_only = true,
                                                     .max_length = rows->max_length}));
    f->expected = json_parse_file(fixture_path(f, "", "expected.json"), 0);
    REQUIRE(f->expected);
}

void fixture_close(struct fixture *f)
{
    cJSON_Delete(f->expected);
    data_finish(&f->set);
    model_layout_finish(&f->layout);
    hf_tokenizer_destroy(f->tokenizer);
}

void fixture_weights(struct fixture *f, struct model_weights *w, const char *suffix)
{
    fixture_weights_as(f, w, suffix, MODEL_F32);
}

void fixture_weights_as(struct fixture *f, struct model_weights *w, const char *suffix,
                        enum model_storage storage)
{
    REQUIRE(model_weights_init(w, f->device, &f->layout, storage, suffix ? "weights" : "zeros"));
    if (suffix) REQUIRE(model_weights_load(w, fixture_path(f, suffix, ""), ""));
}

static void add_distance(const struct model_weights *a, const struct hf_tensors *b,
                         const struct model_tensor *t, double *difference, double *norm)
{
    const struct hf_tensor *want = hf_tensors_find(b, t->name);
    if (!want) fail_msg("%s: no tensor '%s'", hf_tensors_path(b), t->name);
    assert_int_equal(want->count, t->count);
    float *x = MEM_ARRAY(float, t->count), *y = MEM_ARRAY(float, t->count);
    REQUIRE(model_weights_read(a, t, x));
    dtype_decode(y, want->data, want->dtype, t->count);
    for (uint64_t i = 0; i < t->count; i++) {
        *difference += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        *norm += (double)y[i] * (double)y[i];
    }
    mem_free(x);
    mem_free(y);
}

double fixture_distance(const struct model_weights *a, const struct hf_tensors *b,
                        const struct model_tensor *t)
{
    double difference = 0, norm = 0;
    if (t)
        add_distance(a, b, t, &difference, &norm);
    else
        for (size_t i = 0; i < a->layout->tensor_count; i++)
            add_distance(a, b, &a->layout->tensors[i], &difference, &norm);
    assert_true(norm > 0);
    return sqrt(difference / norm);
}

double fixture_number(const cJSON *object, const char *first, const char *second)
{
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(object, first);
    if (at && second) at = cJSON_GetObjectItemCaseSensitive(at, second);
    if (!cJSON_IsNumber(at))
        fail_msg("expected.json has no number '%s' '%s'", first, second ? second : "");
    return at->valuedouble;
}
